"""What the registry leaves open about how a teacher runs and what changes results: how packed, how many at a time, and
at which commit where it lies on a hub.

The engine and the loader are asked, from the blueprint and the memory. What they said is pinned in the run directory,
so that a run does not begin anew because another program takes some memory or somebody publishes another version;
another source, engine, device or setting asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nexus_specs import Budget, plain, record

from ..registry import Registry
from ..registry.trust import written
from ..store import read_json, text_hash
from ..store.artefacts import COPIES
from .contents import Contents

PINS, SETTLED, DATA, CORE = "pins.json", "settled", "data", "core"
_BITS = 3
"""Leading bits of the memory that a question depends on: a little more or less free memory is the same question."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How one teacher runs, as far as results depend on it."""

    micro_batch: int = Budget.micro_batch
    quantise: Literal["", "auto", "nf4", "int8"] = ""
    source: str = ""
    """The same source at one commit, where it lies on a hub; empty: as the card says."""
    missing: int = 0
    """Bytes of it that are still to be fetched."""
    latest: str = ""
    """The commit that the card's name for it has by now, where that is another one; the run keeps its own."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an engine is asked for one teacher."""

    source: str
    content: str
    engine: str
    version: str
    options: Mapping[str, Any]
    budget: Budget
    """As the registry says, with what it leaves open."""

    @property
    def open(self) -> bool:
        """Whether there is anything to ask."""
        return not self.budget.micro_batch or self.budget.quantise == "auto" or self.remote

    @property
    def remote(self) -> bool:
        """Whether the source may lie elsewhere: then its loader says at which commit, and how much is missing now."""
        return self.content == self.source

    def answer(self, said: Mapping[str, Any]) -> Settled:
        """What follows from what was said; what nobody has an opinion of is as by default."""
        return replace(unanswered(self.budget), **said)

    @property
    def pin(self) -> str:
        """What an answer in a run directory holds for: everything but the memory."""
        return text_hash(f"{self.content} {self.engine} {dict(self.options)} {_asked(self._fixed)}")[:16]

    @property
    def _fixed(self) -> Budget:
        return replace(
            self.budget, memory=0, disk=0, threads=1, gigaflops=0.0, gigaflops_float32=0.0, read_rate=0.0,
            weight_rate=0.0, call_rate=0.0,
        )  # fmt: skip

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the engine's answer depends on."""
        return {
            "settle": self.content,
            "engine": [self.engine, self.version],
            "options": plain(self.options),
            "budget": _asked(replace(self._fixed, memory=coarse(self.budget.memory))),
        }


def coarse(size: int) -> int:
    """A size without its lower bits.

    >>> coarse(1000), coarse(1010)
    (896, 896)
    """
    shift = max(0, size.bit_length() - _BITS)
    return size >> shift << shift


def _asked(budget: Budget) -> Mapping[str, Any]:
    return {name: value for name, value in plain(budget).items() if name != "scratch"}


def teacher_budget(registry: Registry, teacher: str, budget: Budget) -> Budget:
    """The budget of units that open a teacher, as its card or else the run's settings say; 0 and "auto" are open."""
    card, run = registry.model.teachers[teacher], registry.model.run
    quantise = card.quantise or run.quantise
    batch = card.micro_batch or run.micro_batch
    return replace(
        budget,
        residency=card.residency or run.residency,
        quantise="" if quantise == "none" else quantise,
        micro_batch=0 if batch == "auto" else batch,
    )


def question(registry: Registry, teacher: str, budget: Budget, contents: Contents) -> Question:
    """What has to be asked for a teacher; nothing where its budget is not `open`."""
    card = registry.model.teachers[teacher]
    source, content = card.source, contents.source(card.source)
    if content == source and card.revision and "@" not in source:
        source = content = f"{source}@{written(card.revision)}"
    (engine,) = registry.choices("engine", "teacher", teacher)
    wanted = teacher_budget(registry, teacher, budget)
    return Question(
        source=source,
        content=content,
        engine=engine.name,
        version=contents.version(registry.plugins.provider("engine", engine.name)),
        options=engine.options,
        budget=wanted,
    )


def unanswered(budget: Budget) -> Settled:
    """How a teacher runs where nobody can tell."""
    quantise = "" if budget.quantise == "auto" else budget.quantise
    return Settled(micro_batch=budget.micro_batch or Budget.micro_batch, quantise=quantise)


def pinned(run: Path, questions: Mapping[str, Question]) -> dict[str, Settled]:
    """What earlier runs of a directory were told, where it still holds."""
    notes = known_pins(run).get(SETTLED, {})
    held = {name: notes[name] for name, asked in questions.items() if notes.get(name, {}).get("for") == asked.pin}
    return {name: record(Settled, note) for name, note in held.items()}


def known_pins(run: Path) -> dict[str, Any]:
    """What a run directory has pinned, less what is not of the shape that runs write. Where the note is damaged, its
    copy says it: else another core would be trained, or newer data fetched, without a word."""
    found = read_json(run / PINS, {})
    if not found and (run / PINS).exists():
        found = read_json(run / COPIES / PINS, {})
    teachers, settled, data, core = (found.get(name) for name in ("core_teachers", SETTLED, DATA, CORE))
    known: dict[str, Any] = {}
    if isinstance(teachers, list):
        known["core_teachers"] = [each for each in teachers if isinstance(each, str)]
    if isinstance(settled, dict):
        known[SETTLED] = {name: note for name, note in settled.items() if isinstance(note, dict)}
    if isinstance(data, dict):
        known[DATA] = {name: commit for name, commit in data.items() if isinstance(commit, str)}
    if isinstance(core, dict) and isinstance(core.get("options"), dict):
        known[CORE] = core
    return known


def pins(settled: Mapping[str, Settled], questions: Mapping[str, Question]) -> dict[str, Any]:
    """The note for later runs."""
    kept = {name: plain(replace(found, missing=0)) for name, found in settled.items()}
    return {
        name: {"for": questions[name].pin} | {field: value for field, value in note.items() if field != "latest"}
        for name, note in kept.items()
    }
