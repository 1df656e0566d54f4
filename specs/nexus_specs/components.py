"""Descriptors: what a plugin offers. Yielding one imports nothing; its target is resolved when it is first made."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .caching import expanded

Split = Literal["train", "development", "held_out"]
Scope = Literal["teacher", "core", "tower", "student"]
"""What a stage works on. Arrows: teacher -> tower, core teachers -> core -> tower, all -> student."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """Something a plugin offers, by kind and name.

    `target` is "module:attr", called with the options; `options` is "module:Dataclass" in a module that imports
    nothing heavy; `requires` are PEP 508 requirements that are checked before the target is imported.
    """

    name: str
    target: str
    summary: str
    options: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ArchitectureComponent(Component):
    """A loader. `catalogue` is "module:function" that gives the rows of `nexus list architectures` without torch."""

    catalogue: str = ""


@dataclass(frozen=True, kw_only=True)
class ReaderComponent(Component):
    """A reader of data. `suffixes` are the file endings that it reads, so that `--data FILE` finds it."""

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MetricComponent(Component):
    """A metric. `higher_is_better` tells whether a teacher beats what knows nothing, and a control; retention itself
    is the same for both directions."""

    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class LossComponent(Component):
    """A loss. `records` are what it reads of a teacher; `extract` records the union over the registry, so that a
    loss which needs no new record reruns only `train`, and the plan can say so beforehand."""

    records: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TowerComponent(Component):
    """A tower: the modalities it takes and gives (the router's hard rule reads them), the output head of the
    teachers it can follow ("text", "label", "embedding", ...), and what `nexus add` proposes for a card: the metric,
    and the data (a path, or a name in a catalogue of data sets) where the registry has none for such a tower."""

    takes: tuple[str, ...]
    gives: tuple[str, ...]
    metric: str = ""
    data: str = ""


@dataclass(frozen=True, kw_only=True)
class StudentComponent(Component):
    """A student. `takes` is what its core takes without any tower: teachers of these modalities may teach the core."""

    takes: tuple[str, ...] = ("text",)


@dataclass(frozen=True, kw_only=True)
class StageComponent(Component):
    """A stage of the pipeline: one unit for each subject of `scope`.

    What a unit declares is all that it can see, and all that is hashed into its fingerprint. The DAG and the
    fingerprints come from these fields alone: no stage is imported for them, only for estimates.
    """

    scope: Scope
    needs: tuple[str, ...] = ()
    """Stages whose artefacts it reads, of its own subject and of those that feed it."""
    uses: tuple[str, ...] = ()
    """Kinds it may `make` as the registry chooses, or "kind:name" for a fixed one."""
    fields: tuple[str, ...] = ()
    """Registry fields of its subjects ("source", "share", ...)."""
    reads: tuple[Split, ...] = ()
    """Parts of the data: any other part is locked, not merely left alone."""
    records: bool = False
    """Whether it sees the union of the losses' `records` (extraction)."""
    inherits: str = ""
    """A stage whose options are this one's defaults: the control trains exactly as `train` does, unless told."""
    publishes: str = ""
    """A folder of the run directory that its artefact becomes ("release")."""
    opens_teachers: bool = False
    """Whether a teacher is open in it: such a unit is never run beside another one that holds a large model."""


@dataclass(frozen=True, kw_only=True)
class RegistryComponent(Component):
    """A registry file that a plugin brings; `target` is "package:path/of/registry.yaml", read as a resource."""


@dataclass(frozen=True, kw_only=True)
class DatasetComponent(Component):
    """Cards of data sets; `target` is "module:function" that returns the rows of `nexus list datasets`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A component as the registry names it for one subject (a teacher, a tower, the student)."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    teachers: tuple[str, ...] = ()
    """Teachers that a loss applies to; empty: all."""
    stages: tuple[str, ...] = ()
    """Stages that a loss applies in; empty: all that train."""


def neutral(default: Any, *, help: str = "") -> Any:
    """An option that cannot change a result (device, memory, workers): left out of the fingerprint.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Options:
    ...     steps: int = 100
    ...     workers: int = neutral(1, help="Processes")
    """
    return field(default=default, metadata={"neutral": True, "help": help})


def option(default: Any, *, help: str, flag: str = "", low: float | None = None, high: float | None = None) -> Any:
    """An option with its help, range and, for a stage's own switch on `nexus run`, its flag (`--allow-below`)."""
    return field(default=default, metadata={"help": help, "flag": flag, "low": low, "high": high})


def location(default: Any = "", *, help: str = "A path, a package: resource or a hub: id") -> Any:
    """An option that names files: the registry makes a relative path absolute, and components call `locate` on it.

    Its content counts for a fingerprint through the reader or loader, never its path.
    """
    return field(default=default, metadata={"location": True, "help": help})


def locate(source: str) -> Path:
    """The path behind a source: a path as it is, "package:name/inner/path" inside an installed package."""
    if not source.startswith("package:"):
        return expanded(source)
    package, _, inner = source.removeprefix("package:").partition("/")
    found = None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"The package '{package}' of '{source}' is not installed")
    return Path(found.submodule_search_locations[0]) / inner


def resolve(target: str) -> Any:
    """The object behind "module:attr.attr"."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found
