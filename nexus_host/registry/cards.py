"""The shape of `registry.yaml`: what can be written where. What needs the installed plugins is checked in `checks`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from nexus_specs.sizes import size
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    WithJsonSchema,
)

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
COUNTS = re.compile(r"[0-9]+(\.[0-9]+)?[KMBT]?( to [0-9]+(\.[0-9]+)?[KMBT]?)?")
DEVICE = re.compile(r"auto|cpu|(cuda|mps|xpu|npu|hpu|xla)(:\d+)?")
Options = dict[str, Any]


def _none_is_empty(value: Any) -> Any:
    """`aliases:` with nothing behind it means none, as a person would read it."""
    return {} if value is None else value


def _listed(value: Any) -> Any:
    return () if value is None else (value,) if isinstance(value, str) else value


def _one_or_none(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    return value if value in ("auto", None) or isinstance(value, bool) else size(value)


def _name(value: str) -> str:
    if ":" in value or "/" in value:
        raise ValueError(f"'{value}' is a path to code; write the name of a component (`nexus list plugins`)")
    return value


def _id(value: str) -> str:
    if not ID.fullmatch(value):
        raise ValueError(f"'{value}' is no id; use letters, digits, '-', '_' and '.', and begin with a letter or digit")
    return value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_WRITTEN_SIZE = r"^ *(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)? *([kKmMgGtT]([iI]?[bB])?|[bB])? *$"
_SIZE = {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}, {"type": "string", "pattern": _WRITTEN_SIZE}]}
Names = Annotated[tuple[str, ...], BeforeValidator(_listed), WithJsonSchema(_TEXTS)]
ComponentName = Annotated[str, BeforeValidator(lambda value: _name(value) if isinstance(value, str) else value)]
Id = Annotated[str, BeforeValidator(lambda value: _id(value) if isinstance(value, str) else value)]
StageOptions = Annotated[
    dict[str, Annotated[Options, BeforeValidator(_none_is_empty)]], BeforeValidator(_none_is_empty)
]
Plain = Annotated[Options, BeforeValidator(_none_is_empty)]
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict(), AllowInfNan(False)]
Size = Annotated[Literal["auto"] | Integer, BeforeValidator(_bytes), WithJsonSchema(_SIZE)]
Count = Literal["auto"] | Annotated[int, Strict(), Field(ge=1)]
Residency = Literal["auto", "resident", "offload", "stream"]
Quantise = Literal["none", "auto", "nf4", "int8"]


def _device(value: str) -> str:
    if not DEVICE.fullmatch(value):
        raise ValueError(f"'{value}' is no device; write auto, cpu, cuda, or one of several as in cuda:1")
    return value


Device = Annotated[str, AfterValidator(_device), WithJsonSchema({"type": "string", "pattern": f"^({DEVICE.pattern})$"})]


def _parameters(value: Any) -> Any:
    if type(value) is int or (isinstance(value, str) and COUNTS.fullmatch(value)):
        return value
    raise ValueError(f"'{value}' is no number of parameters; write one, as in 494032768, 7.6B or 176M to 11.3B")


_PARAMETERS = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": f"^{COUNTS.pattern}$"}]}
Parameters = Annotated[int | str, BeforeValidator(_parameters), WithJsonSchema(_PARAMETERS)]


class Card(BaseModel):
    """What all cards have in common: they cannot change, and nothing may stand in them that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentRef(Card):
    """A component by name, with options. Written as `NAME` or `{name: NAME, options: {...}}`."""

    name: ComponentName
    options: Plain = {}


def _ref(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Ref = Annotated[ComponentRef, BeforeValidator(_ref)]


class TeacherCard(Card):
    """A teacher: what is distilled, into which tower, judged by what, on which data."""

    source: str = Field(min_length=1, description="A folder, a package: resource or a hub id")
    tower: str = Field(default="", description="A tower below; a ready teacher has one")
    data: str = Field(default="", description="An entry of data below; a ready teacher has one")
    metric: Ref | None = Field(default=None, description="By default the one that the tower's component names")
    chat: bool = Field(default=False, strict=True, description="Its chat template writes the questions it answers")
    status: Literal["ready", "available", "disabled"] = Field(default="ready", description="Only ready teachers run")
    aliases: Names = ()
    capability: str = Field(default="", description="By default the id")
    share: Number = Field(default=0.95, gt=0, le=1, description="Of the teacher's score, how much must be kept")
    summary: str = ""
    modality: str = Field(default="", description="--skip-non-llm keeps language; by default what its tower takes")
    parameters: Parameters | None = Field(default=None, description="As in 7.6B, or 176M to 11.3B")
    licence: str = ""
    datasets: Names = Field(default=(), description="Data sets to judge and to transfer on, by name")
    tier: Integer | None = Field(default=None, ge=1, le=3)
    revision: str = ""
    trust: str = ""
    residency: Residency | None = Field(default=None, description="How it is held; by default run.residency")
    quantise: Quantise | None = Field(default=None, description="How it is packed; by default run.quantise")
    micro_batch: Count | None = Field(default=None, description="Samples at once; by default run.micro_batch")
    components: dict[Literal["engine", "profiler"], Ref] = {}
    stages: StageOptions = {}


class TowerCard(Card):
    """A tower of the student."""

    component: ComponentName
    options: Plain = {}
    stages: StageOptions = {}


class StudentCard(Card):
    """The student: one core, and what puts it together."""

    component: ComponentName = "nexus"
    options: Plain = {}
    core: str = Field(default="auto", description="auto, or a checkpoint to start from")
    core_teachers: Annotated[tuple[str, ...] | None, BeforeValidator(_one_or_none), WithJsonSchema(_TEXTS)] = None
    tier: Integer = Field(default=1, ge=1, le=3, description="1: language; 2: code, tools, agents; 3: all media")
    stages: StageOptions = {}


class LossCard(Card):
    """A term of what training minimises."""

    name: ComponentName
    weight: Number = Field(default=1.0, ge=0)
    options: Plain = {}
    teachers: Names = Field(default=(), description="Teachers that it applies to; none named: all")
    stages: Names = Field(default=(), description="Stages that it applies in; none named: all that train")


class DataCard(Card):
    """Data, and how they are read."""

    reader: ComponentName
    options: Plain = {}
    tags: Names = ()


class RunCard(Card):
    """How a run goes about it."""

    seed: Integer = Field(default=0, ge=0, lt=2**32)
    workers: Count = Field(default="auto", description="Processes")
    threads: Count = Field(default=1, description="Threads of each process")
    device: Device = Field(default="auto", description="auto, cpu, cuda, or one of several as in cuda:1")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    memory: Size = Field(default="auto", description="What may be used, as in 8 GB; auto: most of what is free")
    disk: Size = Field(default="auto", description="Likewise")
    residency: Residency = Field(default="auto", description="How teachers are held; auto: the engine chooses")
    quantise: Quantise = Field(default="auto", description="How teachers are packed; auto: as far as memory asks for")
    micro_batch: Count = Field(default="auto", description="Samples that pass through a teacher at once")
    components: dict[Literal["engine", "profiler", "executor"], Ref] = {}
    stages: StageOptions = Field(default={}, description="Options of a stage, for all that it works on")


class RegistryModel(Card):
    """`registry.yaml`."""

    version: Literal[1] = 1
    teachers: Annotated[dict[Id, TeacherCard], BeforeValidator(_none_is_empty)] = {}
    towers: Annotated[dict[Id, TowerCard], BeforeValidator(_none_is_empty)] = {}
    student: Annotated[StudentCard, BeforeValidator(_none_is_empty)] = StudentCard()
    losses: Annotated[tuple[LossCard, ...], BeforeValidator(lambda value: () if value is None else value)] = ()
    data: Annotated[dict[Id, DataCard], BeforeValidator(_none_is_empty)] = {}
    run: Annotated[RunCard, BeforeValidator(_none_is_empty)] = RunCard()
