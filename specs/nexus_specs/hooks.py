"""The hooks. Registration hooks take no argument and yield descriptors; events are isolated observers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import pluggy

from .components import (
    ArchitectureComponent,
    Component,
    DatasetComponent,
    LossComponent,
    MetricComponent,
    ReaderComponent,
    RegistryComponent,
    StageComponent,
    StudentComponent,
    TowerComponent,
)
from .work import Unit

PROJECT = "nexus"
ENTRY_POINTS = "nexus.plugins"
hookspec, hookimpl = pluggy.HookspecMarker(PROJECT), pluggy.HookimplMarker(PROJECT)

KINDS: Mapping[str, tuple[str, type[Component]]] = {
    "architecture": ("nexus_architectures", ArchitectureComponent),
    "engine": ("nexus_engines", Component),
    "reader": ("nexus_readers", ReaderComponent),
    "metric": ("nexus_metrics", MetricComponent),
    "profiler": ("nexus_profilers", Component),
    "loss": ("nexus_losses", LossComponent),
    "tower": ("nexus_towers", TowerComponent),
    "student": ("nexus_students", StudentComponent),
    "stage": ("nexus_stages", StageComponent),
    "command": ("nexus_commands", Component),
    "executor": ("nexus_executors", Component),
    "registry": ("nexus_registries", RegistryComponent),
    "dataset": ("nexus_datasets", DatasetComponent),
}
"""Kind -> its hook and the descriptor that the hook yields."""


class Hooks(Protocol):
    """All hooks; `docs/hooks/` has a page for each."""

    @hookspec
    def nexus_architectures(self) -> Iterable[ArchitectureComponent]:
        """Loaders of checkpoints."""

    @hookspec
    def nexus_engines(self) -> Iterable[Component]:
        """Engines that run checkpoints."""

    @hookspec
    def nexus_readers(self) -> Iterable[ReaderComponent]:
        """Readers of data."""

    @hookspec
    def nexus_metrics(self) -> Iterable[MetricComponent]:
        """Metrics."""

    @hookspec
    def nexus_profilers(self) -> Iterable[Component]:
        """Profilers of teachers."""

    @hookspec
    def nexus_losses(self) -> Iterable[LossComponent]:
        """Losses."""

    @hookspec
    def nexus_towers(self) -> Iterable[TowerComponent]:
        """Towers of the student."""

    @hookspec
    def nexus_students(self) -> Iterable[StudentComponent]:
        """Students: what cores, towers and router are put together to."""

    @hookspec
    def nexus_stages(self) -> Iterable[StageComponent]:
        """Stages of the pipeline."""

    @hookspec
    def nexus_commands(self) -> Iterable[Component]:
        """Commands: `nexus NAME`."""

    @hookspec
    def nexus_executors(self) -> Iterable[Component]:
        """Executors that run units."""

    @hookspec
    def nexus_registries(self) -> Iterable[RegistryComponent]:
        """Registry files that a plugin brings: what `nexus run` does where there is none."""

    @hookspec
    def nexus_datasets(self) -> Iterable[DatasetComponent]:
        """Cards of data sets."""

    @hookspec
    def nexus_unit_started(self, unit: Unit, run: Path) -> None:
        """A unit has started. An observer may ask for a pause by creating `run / "pause"`."""

    @hookspec
    def nexus_unit_progressed(self, unit: Unit, run: Path, done: int, total: int, figures: Mapping[str, float]) -> None:
        """A unit reported progress."""

    @hookspec
    def nexus_unit_finished(self, unit: Unit, run: Path, error: str) -> None:
        """A unit has finished; `error` is empty if it succeeded."""
