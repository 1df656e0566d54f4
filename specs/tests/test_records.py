"""Records go to JSON and come back as they were."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nexus_specs import (
    Blueprint,
    Budget,
    Choice,
    LayerProfile,
    Part,
    Profile,
    Stack,
    Verdict,
    plain,
    record,
)
from nexus_specs.models import Extent
from nexus_specs.testing import blueprint

VERDICT = Verdict(
    capability="prose",
    teacher="prose",
    tower="prose",
    metric=Choice(kind="metric", name="bits_per_byte", options={"unit": 1}),
    data=Choice(kind="reader", name="parquet"),
    teacher_score=1.7,
    student_score=1.75,
    forced_score=1.74,
    control_score=1.95,
    floor=3.0,
    retention_low=0.95,
    retention_high=0.97,
    gap_judged=True,
    items=120,
)
PROFILE = Profile(
    teacher="prose",
    capability="prose",
    blueprint=blueprint(labels=("a", "b")),
    layers=(LayerProfile(path="model.layers.0", importance=0.5, low=0.25, high=0.75, rank=4, critical=True),),
    score=1.5,
    bases={"model.layers.0": "bases.safetensors#model.layers.0"},
)
PART = Part(path="head", extents=(Extent(key="w", file="m", start=0, stop=4, dtype="F32", shape=(1,)),))


@dataclass(frozen=True)
class Nested:
    """The shapes that annotations may have."""

    pair: tuple[int, str] = (1, "one")
    path: Path | None = None
    tables: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@pytest.mark.parametrize(
    "value", [VERDICT, PROFILE, PART, blueprint(), Budget(memory=4), Nested(), Nested(path=Path("a"))]
)
def test_json_keeps_a_record(value):
    assert record(type(value), json.loads(json.dumps(plain(value)))) == value


def test_unknown_keys_are_left_out_so_that_newer_files_open():
    data = {**plain(blueprint()), "invented_later": 1}
    assert record(Blueprint, data) == blueprint()


def test_missing_key_is_an_error():
    data = plain(Stack(path="layers", count=1, widths=(4,), layer_bytes=(16,)))
    del data["count"]
    with pytest.raises(TypeError, match="count"):
        record(Stack, data)


def test_a_pair_of_the_wrong_length_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        record(Nested, {"pair": [1]})


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VERDICT.floor = 0.0
