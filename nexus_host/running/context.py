"""The context of a unit: all that its stage declared, and NotDeclared for everything else."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Checkpoint, Choice, Component, Lookup, NexusError, NotDeclared, Sample, Split

from ..planning.data_sets import origin_of
from ..store import Store, remove, verified
from ..store.atomic import sync_tree
from ..store.progress import asked_to_pause, write_progress
from ..words import listed
from .job import Job

_SPACING = 0.25
"""Seconds between two notes of progress."""


class UnitContext:
    """Implements `nexus_specs.Context` for one job."""

    def __init__(self, job: Job, lookup: Lookup, staging: Path | None) -> None:
        self._job, self._lookup, self._staging = job, lookup, staging
        self._run = Path(job.run)
        self._reported = 0.0
        self.unit, self.options, self.card = job.unit, job.options, job.card
        self.teachers, self.towers, self.records = job.teachers, job.towers, job.records
        self.seed, self.versions = job.seed, job.versions
        self.budget = dataclasses.replace(job.budget, scratch=Store(self._run).scratch(job.unit))

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is on offer of a declared kind."""
        self._allow(kind)
        return self._lookup.components(kind)

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """A component of a declared kind."""
        self._allow(kind, name)
        return self._lookup.make(kind, name, **options)

    def inspect(self, source: str) -> Blueprint:
        """What a checkpoint is; needs "architecture" in `uses`."""
        self._allow("architecture")
        return self._lookup.inspect(source)

    def open(self, source: str) -> Checkpoint:
        """A checkpoint; needs "architecture" in `uses`."""
        self._allow("architecture")
        return self._lookup.open(source)

    def choices(self, kind: str, subject: str = "") -> Sequence[Choice]:
        """What the registry names for a kind: of one subject, else of its own, else of all that feed it."""
        self._allow(kind)
        every = [(owner, choice) for owner, choice in self._job.choices if choice.kind == kind]
        own = tuple(choice for owner, choice in every if owner == (subject or self.unit.subject))
        return own if own or subject else tuple(choice for _, choice in every)

    def chosen(self, kind: str, subject: str = "") -> Any:
        """The component that the registry names, made."""
        found = self.choices(kind, subject)
        if not found:
            of = subject or self.unit.subject
            raise NexusError(f"The registry names no {kind} for '{of}', which {self.unit.name} needs. Name one there.")
        return self._lookup.make(kind, found[0].name, **found[0].options)

    def inputs(self, stage: str) -> Mapping[str, Path]:
        """The verified folders of a needed stage. For an estimate, those that exist."""
        self._declared(stage, self._job.needs, "needs")
        folders = {subject: Path(folder) for subject, folder in self._job.needs[stage].items()}
        if self._staging is None:
            return {subject: folder for subject, folder in folders.items() if folder.is_dir()}
        return {subject: verified(folder) for subject, folder in folders.items()}

    def samples(self, split: Split, teacher: str = "") -> Iterable[Sample]:
        """The samples of a declared part, no more than --sample-size of them."""
        self._declared(split, self._job.reads, "reads")
        choice = self._reader(teacher)
        reader = self._lookup.make("reader", choice.name, **choice.options)
        if self._staging is None and (origin := origin_of(reader)) is not None and origin.missing:
            return ()  # an estimate fetches nothing
        return islice(reader.samples(split), self._job.samples or None)

    def _reader(self, teacher: str) -> Choice:
        readers = self._job.readers
        if not teacher and len(readers) != 1:
            raise NexusError(f"{self.unit.name} has the teachers {listed(readers)}: say whose samples it wants.")
        if teacher and teacher not in readers:
            raise NotDeclared(f"'{teacher}' does not feed {self.unit.name}. Its teachers: {listed(readers)}.")
        return readers[teacher or next(iter(readers))]

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """A path in the staging folder; what an exception interrupts is removed."""
        if self._staging is None:
            raise NexusError(f"An estimate of {self.unit.name} must not write ('{name}').")
        path = (self._staging / name).resolve()
        if not path.is_relative_to(self._staging.resolve()) or path == self._staging.resolve():
            raise NexusError(f"{self.unit.name} would write outside its artefact: '{name}'.")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        except BaseException:
            remove(path)
            raise
        if not path.exists():
            raise NexusError(f"{self.unit.name} wrote nothing to '{name}'.")
        sync_tree(path)

    def report(self, done: int, total: int, **figures: float) -> bool:
        """Notes progress, at most four times a second. False: save to `budget.scratch` and raise Paused."""
        now = time.monotonic()
        if now - self._reported >= _SPACING or done >= total:
            self._reported = now
            write_progress(self._run, self.unit, done, total, figures)
        return not asked_to_pause(self._run)

    def _allow(self, kind: str, name: str = "") -> None:
        uses = self._job.uses
        fixed = [use for use in uses if use.startswith(f"{kind}:")]
        if kind in uses or (fixed and (not name or f"{kind}:{name}" in fixed)):
            return
        self._declared(f"{kind}:{name}" if fixed else kind, uses, "uses")

    def _declared(self, what: str, among: Iterable[str], field: str) -> None:
        if what not in among:
            raise NotDeclared(
                f"The stage '{self.unit.stage}' has not declared '{what}' in `{field}` (declared: {listed(among)}). "
                "Add it to the descriptor: what a stage declares is all it can see, and all that is hashed."
            )
