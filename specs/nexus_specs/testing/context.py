"""A sink and a strict context for tests of stages and profilers: no host, one folder, nothing that is not declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoint
from ..components import Choice, Component, Split, StageComponent
from ..data import Sample
from ..installed import Installed
from ..models import Blueprint, Budget
from ..observation import Piece
from ..work import NotDeclared, Unit


class ListSink:
    """Keeps every piece, in the order in which it came."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.flushed = 0

    def put(self, piece: Piece) -> None:
        """Keeps a piece."""
        self.pieces.append(piece)

    def flush(self) -> None:
        """Counts."""
        self.flushed += 1

    def values(self, tap: str, edit: str = "") -> dict[str, Any]:
        """Key -> value of one tap under one edit; the last one counts."""
        found = [piece for piece in self.pieces if (piece.tap, piece.edit) == (tap, edit)]
        return {key: value for piece in found for key, value in zip(piece.keys, piece.values, strict=True)}

    def value(self, key: str, tap: str, edit: str = "") -> Any:
        """One value."""
        return self.values(tap, edit)[key]


@dataclass
class LocalContext:
    """A `Context` that is handed all it gives. What the stage's descriptor does not name raises NotDeclared.

    Without a descriptor (a profiler's test) nothing is locked. The artefact lies in `folder / "artefact"`.
    """

    folder: Path
    descriptor: StageComponent | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    teachers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    towers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    subject: str = "subject"
    named: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    """What `choices` gives, by kind or by "kind/subject"."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Ready components, by kind, "kind/subject" or "kind:name"; anything else is made from what is installed."""
    artefacts: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """What `inputs` gives, by stage."""
    data: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    """What `samples` gives, by "split" or "split/teacher"."""
    budget: Budget = field(default_factory=Budget)
    reports: list[tuple[int, int, Mapping[str, float]]] = field(default_factory=list)
    pause_after: int = -1
    """`report` answers False after so many calls; never if negative."""
    lookup: Installed = field(default_factory=Installed)

    def __post_init__(self) -> None:
        self.artefact = self.folder / "artefact"
        stage = self.descriptor.name if self.descriptor else "test"
        self.unit = Unit(stage=stage, subject=self.subject, fingerprint="0")
        if self.budget.scratch == Path():
            self.budget = replace(self.budget, scratch=self.folder / "scratch")
        self.budget.scratch.mkdir(parents=True, exist_ok=True)

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is installed."""
        return self.lookup.components(kind)

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """A component that the stage declares."""
        self._declared("uses", kind, f"{kind}:{name}")
        found = self.made.get(f"{kind}:{name}")
        return found if found is not None else self.lookup.make(kind, name, **options)

    def inspect(self, source: str) -> Blueprint:
        """Through the installed loaders."""
        self._declared("uses", "architecture")
        return self.lookup.inspect(source)

    def open(self, source: str) -> Checkpoint:
        """Through the installed loaders."""
        self._declared("uses", "architecture")
        return self.lookup.open(source)

    def choices(self, kind: str, subject: str = "") -> Sequence[Choice]:
        """What the test names."""
        self._declared("uses", kind, *(use for use in self._uses() if use.startswith(f"{kind}:")))
        return self.named.get(f"{kind}/{subject}", self.named.get(kind, ()))

    def chosen(self, kind: str, subject: str = "") -> Any:
        """The ready component, else the first choice, made."""
        choices = self.choices(kind, subject)
        ready = self.made.get(f"{kind}/{subject}", self.made.get(kind))
        return ready if ready is not None else self.make(kind, choices[0].name, **choices[0].options)

    def inputs(self, stage: str) -> Mapping[str, Path]:
        """The folders that the test names."""
        self._declared("needs", stage)
        return self.artefacts[stage]

    def samples(self, split: Split, teacher: str = "") -> Iterable[Sample]:
        """The samples that the test names."""
        self._declared("reads", split)
        return iter(self.data.get(f"{split}/{teacher}", self.data.get(split, ())))

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """A path inside the artefact."""
        path = self.artefact / name
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path

    def report(self, done: int, total: int, **figures: float) -> bool:
        """Keeps what was reported."""
        self.reports.append((done, total, figures))
        return not 0 <= self.pause_after <= len(self.reports)

    def _uses(self) -> tuple[str, ...]:
        return self.descriptor.uses if self.descriptor else ()

    def _declared(self, field_name: str, *values: str) -> None:
        if self.descriptor and not set(values) & set(getattr(self.descriptor, field_name)):
            raise NotDeclared(
                f"The stage '{self.descriptor.name}' asked for '{values[0]}', which its descriptor does not name. "
                f"Add it to `{field_name}`."
            )
