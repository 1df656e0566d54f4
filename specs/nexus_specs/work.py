"""Protocols of the work: units, the context a stage is given, the way from one component to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor as Executor  # kind "executor": the standard protocol, nothing of ours
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .checkpoints import Checkpoint
from .components import Choice, Component, Split
from .data import Sample
from .models import Blueprint, Budget, Estimate


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One stage for one subject."""

    stage: str
    subject: str
    """Id of a teacher or a tower; "core"; "student"."""
    fingerprint: str

    @property
    def name(self) -> str:
        """ "stage/subject"."""
        return f"{self.stage}/{self.subject}"


class Lookup(Protocol):
    """The only way from one component to another. The host has one; `Installed` is one where there is no host."""

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is on offer, by name."""

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """A component, made with its options."""

    def inspect(self, source: str) -> Blueprint:
        """Through the loader whose `match` is highest; two equal best are an error that names both."""

    def open(self, source: str) -> Checkpoint:
        """Likewise."""


class Context(Lookup, Protocol):
    """All that a stage is given. What it did not declare raises."""

    unit: Unit
    options: Mapping[str, Any]
    """The stage's own options, complete (its dataclass as a mapping)."""
    card: Mapping[str, Any]
    """Declared registry fields of its own subject."""
    teachers: Mapping[str, Mapping[str, Any]]
    """And of the teachers that feed it."""
    towers: Mapping[str, Mapping[str, Any]]
    """And of the towers that feed it (for the student); {} elsewhere."""
    records: tuple[str, ...]
    budget: Budget
    seed: int
    versions: Mapping[str, str]
    """Versions of the distributions whose components the whole run uses."""

    def choices(self, kind: str, subject: str = "") -> Sequence[Choice]:
        """What the registry names for a kind; of one subject, or of its own."""

    def chosen(self, kind: str, subject: str = "") -> Any:
        """The one component that the registry names, made."""

    def inputs(self, stage: str) -> Mapping[str, Path]:
        """Verified, read-only folders of a needed stage, by subject."""

    def samples(self, split: Split, teacher: str = "") -> Iterable[Sample]:
        """The data of a teacher that feeds this unit; by default its only one."""

    def write(self, name: str) -> AbstractContextManager[Path]:
        """A path to write a file or folder of the artefact to. The unit's artefact appears whole or not at all:
        flushed, renamed and hashed by the host's one writer."""

    def report(self, done: int, total: int, **figures: float) -> bool:
        """Progress. False: save to `budget.scratch` and raise Paused."""


class Stage(Protocol):
    """Kind "stage"."""

    def estimate(self, context: Context) -> Estimate:
        """From blueprints, no weights."""

    def run(self, context: Context) -> None:
        """Writes the unit's artefact through `context.write`. A `table.json` in it ({"title", "columns", "rows",
        "notes"}) is what `nexus show` and the end of a run print."""


Command = Callable[[Lookup], int]
"""Kind "command": `nexus NAME`. Its flags are the fields of its options dataclass, its result the exit code."""


class NexusError(Exception):
    """Something a user can mend: what was wrong, where, what is allowed, what to type next."""


class Paused(Exception):
    """A unit saved its state in scratch and stopped because it was asked to."""


class NotResident(NexusError):
    """Needs the whole model at once, and it is streamed."""


class NotDeclared(NexusError):
    """A stage asked for something that its descriptor does not name."""
