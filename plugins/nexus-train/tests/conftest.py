"""A small student, its teachers as artefacts on disk, and contexts to train in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nexus_train.plugin as plugin
import pytest
import torch
from nexus_specs import (
    Basis,
    Batch,
    Blueprint,
    Choice,
    LayerProfile,
    Profile,
    Sample,
    Signal,
    Stack,
    Tap,
    resolve,
)
from nexus_specs.testing import LocalContext, sample
from nexus_torch.files import write_tensors
from nexus_torch.padding import Collated, mask_of, pad
from nexus_torch.profiles import write_bases, write_profile
from nexus_torch.shards import ShardWriter
from torch import nn

WORDS, WIDTH, RANK, CLASSES = 11, 8, 3, 4
LOSSES = (Choice(kind="loss", name="forward_kl"), Choice(kind="loss", name="activation_anchor", weight=0.5))


def blueprint(path: str, layers: int, *, text: bool) -> Blueprint:
    stack = Stack(path=path, count=layers, widths=(WIDTH,) * layers, layer_bytes=(4,) * layers)
    return Blueprint(
        family="toy", head="Toy", takes=("text",) if text else ("image",), gives=("text",) if text else ("label",),
        stacks=(stack,), parameters=1, active_parameters=1, bytes=4, dtype="F32", vocabulary=WORDS if text else 0,
        labels=() if text else tuple("abcd"),
    )  # fmt: skip


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, None]:
        return hidden + torch.tanh(self.inner(hidden)), None


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(2))
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            hidden = layer(hidden)[0]
        return self.norm(hidden.flatten(0, -2)).view(hidden.shape)


class Toy(nn.Module):
    """A shared body under an embedding of its own, whose matrix is the head too, or under an image projection."""

    def __init__(self, body: Body, *, text: bool) -> None:
        super().__init__()
        self.body = body
        self.embed = nn.Parameter(torch.randn(WORDS if text else CLASSES, WIDTH) * 0.3)
        self.look = None if text else nn.Linear(4, WIDTH)


class ToyStudent:
    """Text: one token a character. Images: 2 x 2 pixels."""

    def __init__(self, teacher: str, body: Body, *, text: bool, trains_body: bool) -> None:
        self.teacher, self.text, self.trains_body = teacher, text, trains_body
        self.module = Toy(body, text=text)
        self.blueprint = blueprint("body.layers", 2, text=text)
        self.collated = 0

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        body = (
            [(f"body.{name}", each) for name, each in self.module.body.named_parameters()] if self.trains_body else []
        )
        mine = [(f"{self.teacher}.{n}", each) for n, each in self.module.named_parameters() if not n.startswith("body")]
        return [*body, *mine]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        self.collated += 1
        if not self.text:
            return Collated({"pixels": torch.stack([torch.tensor(s.fields["image"]).flatten()[:4] for s in samples])})
        rows = [torch.tensor([0, *(ord(letter) % (WORDS - 1) + 1 for letter in s.fields["text"])]) for s in samples]
        return Collated({"input_ids": pad(rows)}, mask=mask_of([len(row) for row in rows]))

    def forward(self, batch: Batch, taps: Sequence[Tap] = ()) -> Signal:
        states: dict[str, torch.Tensor] = {}
        hooks = [
            self.module.get_submodule(tap.path).register_forward_hook(
                lambda _, __, output, path=tap.path: states.__setitem__(path, output[0])
            )
            for tap in taps
        ]
        first = (
            self.module.embed[batch["input_ids"]]
            if self.text
            else self.module.look(batch["pixels"].float() / 255)[:, None]
        )
        hidden = self.module.body(first)
        for hook in hooks:
            hook.remove()
        if not self.text:
            return Signal(outputs={"output": (hidden @ self.module.embed.T)[:, 0]}, states=states)
        tokens, mask = batch["input_ids"], batch.side["mask"]
        return Signal(hidden=hidden, head=lambda h: h @ self.module.embed.T, tokens=tokens, mask=mask, states=states)

    def save(self, folder: Path) -> None:
        write_tensors(folder / "weights.safetensors", dict(self.trainable()))


class ToyMaker:
    """Kind "student"."""

    def __init__(self) -> None:
        self.students: dict[str, ToyStudent] = {}

    def size(self) -> int:
        """Of the body."""
        return 1000

    def create(self, profiles: Sequence[Profile]) -> Mapping[str, ToyStudent]:
        body = Body()
        self.students = {p.teacher: ToyStudent(p.teacher, body, text=True, trains_body=True) for p in profiles}
        return self.students

    def adopt(self, source: str, folder: Path) -> None:
        (folder / "core").mkdir()
        (folder / "core" / "source").write_text(source)

    def load(self, core: Path, tower: Any, profiles: Sequence[Profile], *, name: str, component: str) -> ToyStudent:
        assert (tower, component) == ("a tower", "toy")
        text = "text" in profiles[0].blueprint.gives
        body = Body().requires_grad_(not text)
        self.students[name] = ToyStudent(name, body, text=text, trains_body=not text)
        return self.students[name]


def texts(seed: int, count: int = 40) -> list[Sample]:
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 15, (count,), generator=draw).tolist()
    words = ["".join(chr(97 + int(at)) for at in torch.randint(26, (n,), generator=draw)) for n in lengths]
    return [sample(text=word) for word in words]


def pictures(count: int = 40) -> list[Sample]:
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(256, (count, 2, 2, 1), generator=draw).to(torch.uint8).numpy()
    return [sample(image=image, **({"label": at % CLASSES} if at % 4 == 0 else {})) for at, image in enumerate(images)]


def teach(folder: Path, teacher: str, samples: Sequence[Sample], *, text: bool) -> dict[str, Path]:
    """A teacher's profile and shards, with made-up numbers."""
    torch.manual_seed(len(teacher))
    layers = tuple(
        LayerProfile(path=f"model.{at}", importance=at + 1.0, low=0.0, high=1.0, critical=at > 0) for at in range(3)
    )
    bases = write_bases({layer.path: basis() for layer in layers}, folder / teacher / "profile")
    about = blueprint("model", 3, text=text)
    profile = Profile(teacher=teacher, capability=teacher, blueprint=about, layers=layers, bases=bases)
    write_profile(profile, folder / teacher / "profile")
    names = ("tokens", "ids", "probabilities") if text else ("output",)
    states = ("state:model.1", "state:model.2")
    shards = folder / teacher / "extract"
    writer = ShardWriter(shards, [s.key for s in samples], (*names, *states), teacher=teacher, vocabulary=WORDS)
    reader = ToyStudent(teacher, Body(), text=text, trains_body=False)
    for each in reversed(samples):
        tokens = reader.collate([each]).get("input_ids", torch.zeros(1, 1))[0]
        p = torch.rand(len(tokens), 4)
        records = {
            "tokens": tokens, "ids": torch.randint(WORDS, (len(tokens), 4)),
            "probabilities": p / p.sum(-1, keepdim=True),
            "output": torch.randn(CLASSES), **{name: torch.randn(len(tokens), RANK) for name in states},
        }  # fmt: skip
        for name in (*names, *states):
            writer.put(each.key, name, records[name])
    writer.finish()
    return {"profile": folder / teacher / "profile", "extract": shards}


def basis() -> Basis:
    return Basis(mean=torch.zeros(WIDTH), directions=torch.eye(WIDTH)[:, :RANK])


class World:
    """Teachers on disk, and contexts of the stages over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.data = {"prose": texts(1), "code": texts(2), "pets": pictures()}
        self.places = {name: teach(folder, name, rows, text=name != "pets") for name, rows in self.data.items()}

    def context(self, stage: str, subject: str, teachers: Sequence[str], **changes: Any) -> LocalContext:
        """A strict one; `changes` are options, or fields of the context by name with a leading `with_`."""
        self.count += 1
        descriptor = next(each for each in plugin.nexus_stages() if each.name == stage)
        fields = {name.removeprefix("with_"): changes.pop(name) for name in list(changes) if name.startswith("with_")}
        options = asdict(resolve(descriptor.options)()) | {"steps": 12, "batch": 8, "dropout": 0.1} | changes
        kind = Choice(kind="loss", name="cross_entropy")
        named = {"loss": LOSSES if "loss" in descriptor.uses else (kind,), "tower": [Choice(kind="tower", name="toy")]}
        artefacts = {step: {t: self.places[t][step] for t in teachers} for step in ("profile", "extract")}
        core = {step: {"core": self.folder} for step in ("core", "core-control")}
        return LocalContext(
            self.folder / f"context {self.count}",
            descriptor,
            **{
                "options": options, "subject": subject, "teachers": {t: {} for t in teachers}, "named": named,
                "made": {"student": ToyMaker(), "tower": "a tower"}, "artefacts": artefacts | core,
                "data": {f"train/{t}": self.data[t] for t in teachers}, "card": {"core": "auto"},
            } | fields,
        )  # fmt: skip

    def run(self, context: LocalContext) -> LocalContext:
        """Runs the context's stage."""
        resolve(context.descriptor.target)().run(context)
        return context


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def files(context: LocalContext) -> dict[str, bytes]:
    """The artefact, by name."""
    found = sorted(context.artefact.rglob("*"))
    return {path.relative_to(context.artefact).as_posix(): path.read_bytes() for path in found if path.is_file()}


@pytest.fixture(name="files")
def _files() -> Any:
    return files
