"""Plugins as folders on disk with real metadata: found, imported and refused as if pip had installed them."""

import os
import sys
import textwrap
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import pytest

from nexus_host.discovery import Plugins, points
from nexus_host.running import worker


class Site:
    """A folder like site-packages, and the only place where this test's plugins are looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name, source=""):
        """Writes a module, "package.inner" into its package."""
        path = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def distribution(self, name, version="1.0", points=None, metadata="", **files):
        """Writes a dist-info folder; `points` are entry points: name -> module."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        lines = [f"{key} = {module}" for key, module in (points or {}).items()]
        (info / "entry_points.txt").write_text("\n".join(["[nexus.plugins]", *lines]))
        for file, text in files.items():
            (info / file.replace("_json", ".json")).write_text(text)

    def plugin(self, name, source, version="1.0", distribution="", **more):
        """A module with hooks, and the distribution that names it."""
        module = name.replace("-", "_") + "_plugin"
        head = "from nexus_specs import *\nfrom nexus_specs import hookimpl\n"
        self.module(module, head + textwrap.dedent(source))
        self.distribution(distribution or f"acme-{name}", version, {name: module}, **more)

    def found(self, without=()):
        return Plugins.discover(without)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(points, "distributions", partial(distributions, path=[str(folder)]))
    monkeypatch.delenv("NEXUS_WITHOUT", raising=False)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    before, found = set(sys.modules), worker.plugins
    yield Site(folder)
    found.cache_clear()                                     # what this process found belongs to this site
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


WHOLE = """
    @hookimpl
    def nexus_architectures():
        yield ArchitectureComponent(
            name="boxes", target="whole_parts:Boxes", summary="Opens boxes", catalogue="whole_parts:boxes"
        )

    @hookimpl
    def nexus_engines():
        yield Component(name="sli", target="whole_parts:Engine", summary="Runs", options="whole_parts:EngineOptions")

    @hookimpl
    def nexus_profilers():
        yield Component(name="niwt", target="whole_parts:Anything", summary="Profiles")

    @hookimpl
    def nexus_readers():
        yield ReaderComponent(name="lines", target="whole_parts:Lines", summary="Reads lines",
                              options="whole_parts:ReaderOptions", suffixes=(".txt",))

    @hookimpl
    def nexus_metrics():
        yield MetricComponent(name="bits", target="whole_parts:Anything", summary="Bits", higher_is_better=False)
        yield MetricComponent(name="accuracy", target="whole_parts:Anything", summary="Right answers",
                              options="whole_parts:MetricOptions")

    @hookimpl
    def nexus_losses():
        yield LossComponent(name="kl", target="whole_parts:Anything", summary="KL", options="whole_parts:LossOptions",
                            records=("logits",))
        yield LossComponent(name="anchor", target="whole_parts:Anything", summary="Anchor", records=("states",))

    @hookimpl
    def nexus_towers():
        yield TowerComponent(name="text", target="whole_parts:Anything", summary="Text", takes=("text",),
                             gives=("text",), metric="bits", options="whole_parts:TowerOptions")
        yield TowerComponent(name="image", target="whole_parts:Anything", summary="Images", takes=("image",),
                             gives=("label",), metric="accuracy")

    @hookimpl
    def nexus_students():
        yield StudentComponent(name="nexus", target="whole_parts:Maker", summary="Core and towers",
                               options="whole_parts:StudentOptions")

    @hookimpl
    def nexus_stages():
        yield StageComponent(name="profile", target="whole_parts:Stage", summary="Profiles", scope="teacher",
                             options="whole_parts:ProfileOptions")
        yield StageComponent(name="train", target="whole_parts:Stage", summary="Trains", scope="tower",
                             needs=("profile",), options="whole_parts:TrainOptions")
        yield StageComponent(name="control", target="whole_parts:Stage", summary="Controls", scope="tower",
                             inherits="train", options="whole_parts:ControlOptions")
        yield StageComponent(name="release", target="whole_parts:Stage", summary="Releases", scope="student",
                             options="whole_parts:ReleaseOptions")

    @hookimpl
    def nexus_commands():
        yield Component(name="greet", target="whole_parts:Greet", summary="Greets", options="whole_parts:GreetOptions")

    @hookimpl
    def nexus_registries():
        yield RegistryComponent(name="starter", target="whole_home:registry.yaml", summary="The default")

    @hookimpl
    def nexus_datasets():
        yield DatasetComponent(name="cards", target="whole_parts:cards", summary="Cards")
"""
PARTS = """
    import sys
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
            fields = {"text": "a line"} if name == "words.txt" else {"text": "a line", "image": 0}
            none = name == "empty.txt" or (name == "few.txt" and split == "held_out")
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
                family="box", head="Box", takes=("image",) if image else ("text",),
                gives=("label",) if image else ("text",), stacks=(Stack(path="layers", count=2, widths=(4, -1),
                layer_bytes=(8, 8)),), parameters=16, active_parameters=16, bytes=64, dtype="F32",
                vocabulary=0 if image else 300, context=0 if image else 64,
                labels=tuple("abcdefghij") if image else (),
                missing=tuple(said for word, said in MISSING.items() if word in source),
            )
        def open(self, source, lookup):
            return ("open", source, lookup)

    def boxes():
        return [{"architecture": "box", "generates": True}]

    def cards():
        return [{"name": "shakes", "summary": "Plays", "licence": "CC0"}]
"""
REGISTRY = """\
version: 1
teachers:
  words:
    source: package:whole_home/words
    aliases: [language]
    tower: words
    metric: bits
    data: words
  shapes:
    source: package:whole_home/shapes
    tower: shapes
    metric: {name: accuracy, options: {k: 2}}
    data: shapes
    share: 0.9
    modality: image
  later:
    source: somebody/later
    status: available
towers:
  words: {component: text, options: {rank: 4}, stages: {train: {steps: 50}, control: {dropout: 0.1}}}
  shapes: {component: image}
student:
  options: {layers: 3}
losses:
  - {name: kl, options: {temperature: 2}}
  - {name: anchor, weight: 0.5, teachers: [words]}
data:
  words: {reader: lines, options: {path: words.txt}, tags: [language]}
  shapes: {reader: lines, options: {parts: {train: [a.txt, package:whole_home/b.txt], held_out: c.txt}}}
run:
  stages: {train: {rate: 1e-4}}
"""


@pytest.fixture
def whole(site):
    """A site with one plugin that offers something of every kind, and a registry."""
    site.plugin("whole", WHOLE)
    site.module("whole_parts", PARTS)
    site.module("whole_home.__init__")
    (site.folder / "whole_home" / "registry.yaml").write_text(REGISTRY)
    return site


@pytest.fixture
def plugins(whole):
    return whole.found()
