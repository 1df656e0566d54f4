"""A small world: two text teachers of different tokens, one that sees, a core, three towers, a release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nexus_specs import Adapter, Installed, Profile, Sample, content_key, plain, resolve
from nexus_specs.components import Choice
from nexus_specs.contract import Verdict
from nexus_specs.testing import LocalContext, blueprint
from nexus_student import plugin
from nexus_student.maker import NexusMaker
from nexus_torch.profiles import write_profile
from nexus_torch.text import tokenizer_hash
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

OPTIONS = {"layers": 2, "width": 32, "context": 64}
PROSE = "a quiet river carried the small boats under old bridges while evening lamps were lit along the water"
CODE = "def f(x):\n    return [y for y in x if y is not None]\n\nclass A(B):\n    pass\n"


class Words:
    """A text tower."""

    def __init__(self, vocabulary: str = "own", rank: int = 2, embeddings: int = 0) -> None:
        self.options = {"vocabulary": vocabulary, "rank": rank, "embeddings": embeddings}

    def adapter(self, core: Any, profiles: Any) -> Adapter:
        return Adapter(how="lora", **self.options)

    def build(self, core: Any, profiles: Any) -> None:
        return None

    def collate(self, samples: Any) -> dict[str, Any]:
        return {}

    def config(self) -> dict[str, Any]:
        return self.options


class Sight(nn.Module):
    """Brightness in, classes out. Its encoder is a list of layers, so that it is a stack."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.lift = nn.Linear(16, width)
        if classes:
            self.head = nn.Linear(2 * width, classes)
            self.decode = self._decode

    def encode(self, pixels: Tensor) -> Tensor:
        hidden = pixels.flatten(1)
        for layer in self.layers:
            hidden = hidden + layer(hidden).tanh()
        return self.lift(hidden)[:, None]

    def _decode(self, hidden: Tensor, latents: Tensor) -> Tensor:
        return self.head(torch.cat([hidden, latents.mean(1)], -1))


class Eyes:
    """A tower that sees images of 4 x 4."""

    def __init__(self, classes: int = 3) -> None:
        self.classes = classes

    def adapter(self, core: Any, profiles: Any) -> Adapter:
        return Adapter(how="cross_attention", rank=4)

    def build(self, core: Any, profiles: Any) -> nn.Module:
        return Sight(core.stacks[0].widths[0], self.classes)

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        return {"pixels": torch.stack([torch.tensor(each.fields["image"] / 255).float() for each in samples])}

    def config(self) -> dict[str, Any]:
        return {"classes": self.classes}


class Desk(Installed):
    """What is installed, with the towers of these tests."""

    TOWERS: Mapping[str, Callable[..., Any]] = {"words": Words, "eyes": Eyes}

    def make(self, kind: str, name: str, **options: Any) -> Any:
        if kind == "tower" and name in self.TOWERS:
            return self.TOWERS[name](**options)
        return super().make(kind, name, **options)


def byte_tokenizer(folder: Path, merges: Sequence[tuple[str, str]] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes and some pairs of them, written to a folder."""
    letters = ["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    made = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=list(merges)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def text_profile(folder: Path, name: str, merges: Sequence[tuple[str, str]] = ()) -> Profile:
    tokenizer = byte_tokenizer(folder / "preprocessor", merges)
    found = blueprint(
        vocabulary=len(tokenizer), tokenizer=tokenizer_hash(tokenizer), parameters=400_000, active_parameters=400_000
    )
    return written(
        folder, Profile(teacher=name, capability=name, blueprint=found, layers=(), preprocessor="preprocessor")
    )


def image_profile(folder: Path) -> Profile:
    found = blueprint(
        takes=("image",), gives=("label",), labels=("one", "two", "three"), parameters=50_000, active_parameters=50_000
    )
    return written(folder, Profile(teacher="digits", capability="digits", blueprint=found, layers=()))


def written(folder: Path, profile: Profile) -> Profile:
    from dataclasses import replace

    write_profile(profile, folder)
    (folder / "tensors.json").write_text(json.dumps({"tensors": ["f" * 32]}))
    return replace(profile, home=str(folder))


def text(value: str) -> Sample:
    return Sample(key=content_key({"text": value}), fields={"text": value})


def image(seed: int) -> Sample:
    fields = {"image": np.random.default_rng(seed).integers(0, 255, (4, 4), dtype=np.uint8)}
    return Sample(key=content_key(fields), fields=fields)


@dataclass
class World:
    """Folders of everything, and what made them."""

    folder: Path
    profiles: dict[str, Profile]
    towers: dict[str, tuple[Any, str, list[Profile]]]
    desk: Desk

    @property
    def core(self) -> Path:
        return self.folder / "core"

    @property
    def model(self) -> Path:
        return self.folder / "assemble" / "artefact" / "model"

    @property
    def release(self) -> Path:
        return self.folder / "release" / "artefact"

    def student(self, name: str) -> Any:
        component, kind, profiles = self.towers[name]
        torch.manual_seed(1)
        return NexusMaker(**OPTIONS).load(self.core, component, profiles, name=name, component=kind)


def stage(name: str) -> Any:
    return next(each for each in plugin.nexus_stages() if each.name == name)


def run_stage(name: str, folder: Path, **given: Any) -> LocalContext:
    context = LocalContext(folder, stage(name), **given)
    resolve(stage(name).target)(**context.options).run(context)
    return context


def verdict(name: str, low: float = 0.97) -> Verdict:
    metric = "accuracy" if name == "digits" else "bits_per_byte"
    return Verdict(
        capability=name, teacher=name, tower=name, metric=Choice(kind="metric", name=metric),
        data=Choice(kind="reader", name="jsonl", options={"path": "x"}), teacher_score=1.0, student_score=1.1,
        forced_score=1.1, control_score=1.5, floor=4.0, retention_low=low, retention_high=1.0,
        gap_judged=name != "code", items=10,
    )  # fmt: skip


def evaluated(folder: Path, verdicts: Sequence[Verdict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdicts.json").write_text(json.dumps({"capabilities": [plain(each) for each in verdicts]}))
    return folder


CARDS = {
    name: {"share": 0.95, "source": f"package:teachers/{name}", "licence": "MIT"}
    for name in ("prose", "code", "digits")
}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    profiles = {
        "prose": text_profile(folder / "profile" / "prose", "prose"),
        "code": text_profile(folder / "profile" / "code", "code", [("d", "e"), ("e", "f")]),
        "digits": image_profile(folder / "profile" / "digits"),
    }
    towers = {
        "prose": (Words("own"), "words", [profiles["prose"]]),
        "code": (Words("core", embeddings=2), "words", [profiles["code"]]),
        "verse": (Words("core"), "words", [profiles["code"]]),
        "digits": (Eyes(), "eyes", [profiles["digits"]]),
    }
    made = World(folder, profiles, towers, Desk())
    torch.manual_seed(0)
    NexusMaker(**OPTIONS).create([profiles["prose"], profiles["code"]])["prose"].save(made.core)
    for name in towers:
        student = made.student(name)
        for parameter_name, parameter in student.trainable():
            if parameter_name.endswith((".B", ".gate", "words.A")):
                torch.nn.init.normal_(parameter, std=0.3)
        student.save(folder / "train" / name / "tower")
    rows = {"prose": PROSE, "code": CODE}
    for name, body in rows.items():
        samples = [Sample(key=str(i), fields={"text": body[i:] + body, "source": f"file{i}"}) for i in range(20)]
        run_stage("route", folder / "route" / name, subject=name, teachers={name: {}}, data={"train": samples})
    names = ("prose", "code", "digits")
    run_stage(
        "assemble", folder / "assemble", subject="student",
        artefacts={
            "core": {"core": made.core}, "train": {name: folder / "train" / name for name in names},
            "route": {name: folder / "route" / name / "artefact" for name in rows},
            "profile": {name: folder / "profile" / name for name in names},
        },
    )  # fmt: skip
    evaluated(folder / "evaluate", [verdict(name) for name in sorted(names)])
    run_stage("release", folder / "release", **released(made))
    return made


def released(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "subject": "student", "teachers": CARDS, "versions": {"nexus-student": "0.1.0"},
        "artefacts": {"assemble": {"student": world.folder / "assemble" / "artefact"},
                      "evaluate": {"student": world.folder / "evaluate"}},
    } | changes  # fmt: skip


@pytest.fixture
def release(world: World, tmp_path: Path) -> Path:
    """A release of one's own."""
    return Path(shutil.copytree(world.release, tmp_path / "release"))


@pytest.fixture
def helpers() -> Any:
    """What test files need of this one, since they import nothing of each other."""
    import types

    return types.SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})
