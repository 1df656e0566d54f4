"""nexus_specs: everything that crosses a boundary in Nexus, and nothing else.

    plugins -> (nexus_torch ->) nexus_specs <- nexus_host

Descriptors (`components`), records and protocols (`data`, `models`, `observation`, `teachers`, `students`,
`contract`, `work`) and hooks (`hooks`). Records are frozen; tensors appear only in what lives in memory.
"""

from .components import (
    ArchitectureComponent,
    Choice,
    Component,
    DatasetComponent,
    LossComponent,
    MetricComponent,
    ReaderComponent,
    RegistryComponent,
    Scope,
    Split,
    StageComponent,
    StudentComponent,
    TowerComponent,
    locate,
    location,
    neutral,
    option,
    resolve,
)
from .contract import Verdict, fraction
from .data import Reader, Sample, content_key
from .hooks import ENTRY_POINTS, KINDS, PROJECT, Hooks, hookimpl
from .installed import Installed, loader
from .models import Blueprint, Budget, Estimate, Extent, Machine, Part, Stack
from .observation import SPECIAL_TAPS, Basis, Batch, Edit, Piece, Signal, Sink, Tap
from .records import plain, record
from .students import Adapter, Link, Loss, Student, StudentMaker, Tower
from .teachers import Architecture, Checkpoint, Engine, LayerProfile, Metric, Profile, Profiler, Teacher
from .work import (
    Command,
    Context,
    Executor,
    Lookup,
    NexusError,
    NotDeclared,
    NotResident,
    Paused,
    Stage,
    Unit,
)

__all__ = [name for name in dir() if not name.startswith("_")]
