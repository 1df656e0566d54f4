"""Protocols of the student: losses, towers, and the core with one tower as training sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .data import Sample
from .models import Blueprint, Budget
from .observation import Batch, Signal, Tap
from .teachers import Profile
from .work import NexusError

if TYPE_CHECKING:
    from torch.nn import Module, Parameter


@dataclass(frozen=True, kw_only=True)
class Link:
    """One teacher (its profile holds its blueprint) and the student that learns from it."""

    profile: Profile
    student: Blueprint
    anchors: tuple[tuple[str, str], ...] = ()
    """(teacher path, student path) of layers that should agree."""
    bases: Mapping[str, Any] = field(default_factory=dict)
    """Teacher path -> Basis, of the anchors."""


class Loss(Protocol):
    """Kind "loss": `bind(link)` gives `loss(student, teacher) -> [B]`."""

    def taps(self, link: Link) -> Sequence[Tap]:
        """What it wants of the student."""

    def bind(self, link: Link) -> Callable[[Signal, Signal], Any]:
        """-> loss(student, teacher): Tensor [B], one value a sample. May be a Module: its parameters are heads on
        the student's side, trained and checkpointed with it, gone at release. A Module may have an attribute
        `progress` in [0, 1] that training sets, for terms that decay."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What a tower changes inside the frozen core."""

    how: Literal["lora", "cross_attention"]
    rank: int
    layers: tuple[int, ...] = ()
    """Empty: all."""
    vocabulary: Literal["core", "own"] = "core"
    """ "own": an embedding (tied to the head) of the tower's own, since its teacher's tokenizer differs."""
    embeddings: int = 0
    """Rank of the adapter beside the core's embedding; 0: none."""


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A model of somebody else's that a tower's answers go through, whole and unchanged: a codec that makes sound of
    codes, a VAE that makes pixels of latents. It is not distilled and in no release; a release lists and counts it."""

    name: str
    source: str
    """A path, a package: resource, or what is on a hub by its commit: owner/name@COMMIT, hub:owner/name@COMMIT/path."""
    licence: str
    parameters: int = 0
    """0: as its safetensors files say, where they are on this machine."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File -> digest. Empty: of a path or a package's, all files as they are found."""


class Tower(Protocol):
    """Kind "tower": the only student code that a stranger writes. Made with the options of its card. One whose answers
    go through models of others also has `decoders() -> Sequence[Decoder]`."""

    def adapter(self, core: Blueprint, profiles: Sequence[Profile]) -> Adapter:
        """What it changes inside the core."""

    def build(self, core: Blueprint, profiles: Sequence[Profile]) -> Module | None:
        """Its own weights, or None for a tower that is all adapter. A perceiving module has
        `encode(**batch) -> [B, n, D]` (D: the core's width) and, where it does not answer in text,
        `decode(hidden [B, D], latents [B, n, D]) -> [B, C]`."""

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Media to the tensors of `encode`; not called for a tower without own weights."""

    def config(self) -> Mapping[str, Any]:
        """JSON options with which the component makes an equal tower again, from a release alone."""


def decoders_of(tower: Tower) -> tuple[Decoder, ...]:
    """The decoders that a tower declares; () where it has no method `decoders`. NexusError for what are none."""
    declared = tuple(getattr(tower, "decoders", tuple)())
    if wrong := [each for each in declared if not isinstance(each, Decoder)]:
        raise NexusError(
            f"`decoders` of the tower component {type(tower).__name__} gave a {type(wrong[0]).__name__}. Give "
            "nexus_specs.Decoder(name=…, source=…, licence=…)."
        )
    return declared


class Student(Protocol):
    """The core with one tower (or the core alone, in one teacher's vocabulary), as training sees it."""

    blueprint: Blueprint
    module: Module

    def trainable(self) -> Iterable[tuple[str, Parameter]]:
        """The parameters that this unit trains, by name."""

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Samples to what `forward` takes."""

    def forward(self, batch: Batch, taps: Sequence[Tap] = ()) -> Signal:
        """Taps are module paths of `module` (`blueprint.stacks` lists them)."""

    def save(self, folder: Path) -> None:
        """What was trained, nothing else: the tower's own files, or the core's."""


class StudentMaker(Protocol):
    """Kind "student"."""

    def propose(self, teachers: Sequence[Blueprint], budget: Budget, tier: int) -> Mapping[str, Any]:
        """Options for a new core that suits these teachers and this memory: what `core: auto` becomes. Teachers of what
        a core does not take cannot teach it, and bound its size all the same."""

    def size(self) -> int:
        """Parameters of a new core, its words left out: what estimates of training count with."""

    def create(self, profiles: Sequence[Profile]) -> Mapping[str, Student]:
        """A new core: one student for each core teacher, in its vocabulary, all sharing one body. Saving any of
        them saves the whole core. Without profiles: {}."""

    def adopt(self, source: str, folder: Path) -> None:
        """Writes the core that starts from a checkpoint instead of training one."""

    def load(self, core: Path, tower: Tower, profiles: Sequence[Profile], *, name: str, component: str) -> Student:
        """The frozen core with a new tower `name`, which the component `component` of kind "tower" made."""
