"""A stack that is small beside others stays: samples go through it at once, and none waits inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_engine_sli.memory.spilling import Spill
from nexus_engine_sli.planning.costs import LENGTH, unsaid
from nexus_engine_sli.planning.moving import moved
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import standing
from nexus_specs import Budget, Checkpoint, Installed, Sample, Tap, content_key
from nexus_specs.testing import ListSink

CONVOLUTIONS = "feature_extractor.conv_layers"
TAPS = (f"{CONVOLUTIONS}.0", f"{CONVOLUTIONS}.1.conv", "feature_projection", "encoder.layers.1", "output")


class Halved:
    """A module gives half of what it gave, and looks at what all samples gave before."""

    def __init__(self, *modules: str) -> None:
        self.name, self.modules = "+".join(modules), modules
        self.met: list[str] = []

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        self.met.append(path)

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        assert self.met.count(path) == len(SAMPLES)
        return output / 2


def sounds() -> list[Sample]:
    generator = np.random.default_rng(0)
    fields = [{"audio": generator.standard_normal(size).astype("float32")} for size in (900, 1500, 700)]
    return [Sample(key=content_key(each), fields=each) for each in fields]


SAMPLES = sounds()


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of some kilobytes is large enough."""
    monkeypatch.setattr(standing, "WORTH", 1 << 10)


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A Wav2Vec2 whose three convolutions are smaller than a layer."""
    home: Path = tmp_path_factory.mktemp("hearing")
    torch.manual_seed(0)
    hf.Wav2Vec2Model(hf.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, conv_dim=(16, 16, 16),
        conv_kernel=(10, 3, 3), conv_stride=(5, 2, 2), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer", do_stable_layer_norm=True,
    )).save_pretrained(home)  # fmt: skip
    hf.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(home)
    return Installed().open(str(home))


def observed(checkpoint: Checkpoint, room: Any, edits: Sequence[Any] = (), memory: int = 0) -> ListSink:
    sink = ListSink()
    try:
        budget = Budget(micro_batch=1, memory=memory)
        SliTeacher(checkpoint, room, budget).observe(SAMPLES, [Tap(path=path) for path in TAPS], sink, edits)
    finally:
        room.close()
    return sink


def test_what_stays_gives_what_it_gives_whole(hearing: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps inside it and edits too; every weight is read once, and no state of a convolution waits."""
    waiting: list[int] = []
    settle = Spill.settle
    monkeypatch.setattr(Spill, "settle", lambda self, family: (waiting.append(1), settle(self, family))[1])
    edits = [Halved(f"{CONVOLUTIONS}.1"), Halved("encoder.layers.0"), Halved(f"{CONVOLUTIONS}.0", "encoder.layers.2")]
    for some in ((), edits):
        for each in some:
            each.met.clear()
        room = Streamed(hearing, "cpu")
        streamed = observed(hearing, room, some)
        assert not any(path.startswith(CONVOLUTIONS) for path in room.order)
        assert len(room.loads) == len(set(room.loads))
        every = sum(each.stop - each.start for part in hearing.parts for each in part.extents)
        assert every <= room.read_bytes <= every + 1024 * len(hearing.parts), "once, in blocks of the disk"
        if not some:
            assert len(waiting) == len(SAMPLES) * (1 + len(room.layers) - 3)
        for each in some:
            each.met.clear()
        whole = observed(hearing, Resident(hearing, "cpu"), some)
        for name in ("", *(each.name for each in some)):
            for tap in TAPS:
                one, other = streamed.values(tap, name), whole.values(tap, name)
                assert one.keys() == other.keys(), (tap, name)
                assert all(torch.equal(one[key], other[key]) for key in one), (tap, name)


def test_memory_that_is_little_has_it_come_and_go(hearing: Checkpoint) -> None:
    """It is no part of what stays where a unit may be no larger than itself, and a blueprint says so as well."""
    layer = max(hearing.blueprint.stacks[1].layer_bytes)
    assert [stack.path for stack in moved(hearing.blueprint, 64 * layer).stacks] == ["encoder.layers"]
    assert moved(hearing.blueprint, layer) == hearing.blueprint
    room = Streamed(hearing, "cpu", budget=Budget(memory=4 * layer))
    assert not room.staying
    room.close()


def test_what_speaks_streams_every_layer(hearing: Checkpoint) -> None:
    """A vocoder's convolutions are large, and no text is long before them (VITS)."""
    layer = max(hearing.blueprint.stacks[1].layer_bytes)
    speaking = replace(hearing.blueprint, takes=("text",), gives=("audio",))
    assert moved(speaking, 64 * layer) == speaking


def test_sounds_wait_with_as_many_states_as_they_have(hearing: Checkpoint) -> None:
    """16 sounds of 10 s were taken for 5 s each (Wav2Vec2: 337 MB were predicted, and 382 taken)."""
    known = replace(hearing.blueprint, passing=2 * 500 * hearing.blueprint.frames)
    assert (unsaid(known, 16), unsaid(hearing.blueprint, 16)) == (500, LENGTH)
