"""What that plugin offers: as little as each kind needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nexus_specs import Blueprint, NexusError, Sample, Stack, location, neutral, option


@dataclass
class EngineOptions:
    batch: int = neutral(8, help="Samples at once")


@dataclass
class ReaderOptions:
    path: str = location("", help="A file")
    parts: Mapping[str, Any] = field(default_factory=dict, metadata={"location": True, "help": "Files"})
    columns: Mapping[str, str] = field(default_factory=dict, metadata={"help": "Columns"})


@dataclass
class MetricOptions:
    k: int = option(1, help="How many", low=1, high=5)
    labels: tuple[str, ...] = option((), help="Names of the classes")


@dataclass
class LossOptions:
    temperature: float = option(1.0, help="Softens", low=0.1)


@dataclass
class TowerOptions:
    rank: int = option(8, help="Rank", low=1)
    vocabulary: Literal["auto", "core", "own"] = option("auto", help="Whose tokens")


@dataclass
class StudentOptions:
    layers: int = option(4, help="Layers")
    width: int = option(128, help="Width")


@dataclass
class ProfileOptions:
    samples: int = option(16, help="Samples")


@dataclass
class TrainOptions:
    steps: int = option(100, help="Steps", low=1)
    rate: float = option(0.01, help="Learning rate")


@dataclass
class ControlOptions:
    steps: int = option(100, help="Steps", low=1)
    rate: float = option(0.01, help="Learning rate")
    dropout: float = option(0.0, help="Dropout")


@dataclass
class ReleaseOptions:
    allow_below: bool = option(False, help="Release anyway", flag="--allow-below")


@dataclass
class GreetOptions:
    who: str = field(default="", metadata={"argument": True, "help": "Whom"})
    times: int = option(1, help="How often", low=1)
    loud: bool = option(False, help="Shout")
    polite: bool = option(True, help="Say please")
    also: tuple[str, ...] = option((), help="Others")
    mood: Literal["good", "bad"] = option("good", help="Mood")
    note: str | None = option(None, help="Note")


class Anything:
    def __init__(self, **options):
        self.options = options


class Engine(Anything):
    pass


class Lines(Anything):
    def samples(self, split, start=0):
        name = Path(self.options["path"]).name
        fields = {"text": "a line"} if "words" in name else {"text": "a line", "image": 0}
        fields |= {"label": Path(name).stem.rpartition("-")[2]} if "labelled" in name else {}
        none = name == "empty.txt" or ("few" in name and split == "held_out")
        yield from [] if none else [Sample(key="0", fields=fields)]


class Stage:
    pass


class Maker(Anything):
    def propose(self, teachers, budget, tier):
        return {"layers": 2 * len(teachers), "width": 128}


class Greet(Anything):
    def __call__(self, lookup):
        print(sorted(self.options.items()), sorted(lookup.components("tower")))
        if self.options["who"] == "nobody":
            raise NexusError("There is nobody to greet.")
        return self.options["times"] - 1


MISSING = {"half": "a tokenizer", "weightless": "weights (*.box)"}


class Boxes:
    def match(self, source):
        return int(source.startswith("box:") or Path(source, "box").exists())

    def inspect(self, source):
        image = "image" in source
        return Blueprint(
            family="box",
            head="Box",
            takes=("image",) if image else ("text",),
            gives=("label",) if image else ("text",),
            stacks=(Stack(path="layers", count=2, widths=(4, -1), layer_bytes=(8, 8)),),
            parameters=16,
            active_parameters=16,
            bytes=64,
            dtype="F32",
            vocabulary=0 if image else 300,
            context=0 if image else 64,
            labels=tuple("abcdefghij") if image else (),
            missing=tuple(said for word, said in MISSING.items() if word in source),
        )

    def open(self, source, lookup):
        return ("open", source, lookup)


def boxes():
    return [{"architecture": "box", "generates": True}]


def cards():
    return [{"name": "shakes", "summary": "Plays", "licence": "CC0"}]
