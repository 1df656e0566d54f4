"""nexus_specs: everything that crosses a boundary in Nexus, and nothing else.

    plugins -> (nexus_torch ->) nexus_specs <- nexus_host

Descriptors (`components`), records and protocols (`data`, `models`, `observation`, `checkpoints`, `teachers`,
`students`, `contract`, `work`) and hooks (`hooks`). Records are frozen; tensors appear only in what lives in memory.
"""

from .checkpoints import Checkpoint
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
from .data import Reader, Sample, content_key, prompted
from .hooks import ENTRY_POINTS, KINDS, PROJECT, Hooks, hookimpl
from .installed import Installed, loader
from .keeping import unchanged
from .matching import reader_for
from .models import Blueprint, Budget, Estimate, Extent, Machine, Origin, Outside, Part, Stack
from .observation import SPECIAL_TAPS, Basis, Batch, Edit, Piece, Signal, Sink, Tap, is_output
from .records import plain, record
from .showing import Shown, as_shown, as_usual, standing_out
from .students import Adapter, Decoder, Link, Loss, Student, StudentMaker, Tower, decoders_of
from .teachers import Architecture, Engine, LayerProfile, Metric, Profile, Profiler, Teacher
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

__all__ = [
    "ENTRY_POINTS",
    "KINDS",
    "PROJECT",
    "SPECIAL_TAPS",
    "Adapter",
    "Architecture",
    "ArchitectureComponent",
    "Basis",
    "Batch",
    "Blueprint",
    "Budget",
    "Checkpoint",
    "Choice",
    "Command",
    "Component",
    "Context",
    "DatasetComponent",
    "Decoder",
    "Edit",
    "Engine",
    "Estimate",
    "Executor",
    "Extent",
    "Hooks",
    "Installed",
    "LayerProfile",
    "Link",
    "Lookup",
    "Loss",
    "LossComponent",
    "Machine",
    "Metric",
    "MetricComponent",
    "NexusError",
    "NotDeclared",
    "NotResident",
    "Origin",
    "Outside",
    "Part",
    "Paused",
    "Piece",
    "Profile",
    "Profiler",
    "Reader",
    "ReaderComponent",
    "RegistryComponent",
    "Sample",
    "Scope",
    "Shown",
    "Signal",
    "Sink",
    "Split",
    "Stack",
    "Stage",
    "StageComponent",
    "Student",
    "StudentComponent",
    "StudentMaker",
    "Tap",
    "Teacher",
    "Tower",
    "TowerComponent",
    "Unit",
    "Verdict",
    "as_shown",
    "as_usual",
    "content_key",
    "decoders_of",
    "fraction",
    "hookimpl",
    "is_output",
    "loader",
    "locate",
    "location",
    "neutral",
    "option",
    "plain",
    "prompted",
    "reader_for",
    "record",
    "resolve",
    "standing_out",
    "unchanged",
]
