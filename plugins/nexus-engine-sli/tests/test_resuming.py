"""Killed at any point, the final shards are those of an undisturbed extraction, byte for byte."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.memory import spilling
from nexus_engine_sli.resuming import checkpoints
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.running import streaming
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import units
from nexus_specs import Basis, Budget, Installed, Piece, Sample, Tap, content_key
from nexus_specs.testing.killing import Doom
from nexus_torch.journal import Journal
from nexus_torch.shards import STATE, ShardWriter

FORK = multiprocessing.get_context("fork")
PATHS = ("model.layers.1", "model.layers.4")


class Shards:
    """A durable sink, as `extract` has."""

    durable = True

    def __init__(self, writer: ShardWriter) -> None:
        self.writer, self.flush = writer, writer.flush

    def put(self, piece: Piece) -> None:
        """One record a sample, tap and edit."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            self.writer.put(key, "tokens" if piece.tap == "tokens" else record(piece.tap, piece.edit), value)


def record(tap: str, edit: str) -> str:
    """The name of what a tap gives under an edit."""
    return f"{STATE}{edit and edit + ':'}{tap}"


class Mean:
    """A module gives its mean over the corpus: known when all intact batches have passed it."""

    def __init__(self, *modules: str) -> None:
        self.name, self.modules = "mean-" + "+".join(modules), modules
        self.sums: dict[str, tuple[torch.Tensor, int]] = {}

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        """Sums."""
        before, count = self.sums.get(path, (torch.zeros(output.shape[-1]), 0))
        self.sums[path] = before + output[mask].sum(0), count + int(mask.sum())

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        """The mean everywhere, of one storage for all batches."""
        total, count = self.sums[path]
        return (total / count).expand_as(output)


EDITS = (("model.layers.2",), ("model.layers.3.mlp",), ("model.layers.1", "model.layers.5"))
"""A layer, what is inside one, and two layers at once."""


EVENTS = (
    (Streamed, "enter"), (ShardWriter, "put"), (ShardWriter, "flush"), (checkpoints.Checkpoints, "_row"),
    (checkpoints.Checkpoints, "_clean"), (Journal, "append"), (spilling.Spill, "_write"), (spilling.Spill, "bring"),
)  # fmt: skip
"""Before these the process may end: units, records, states on their way to the disk and back, half a checkpoint."""


def samples() -> list[Sample]:
    """Texts of different lengths."""
    rows: list[dict[str, Any]] = [{"text": "layer " * (1 + at % 5) + str(at)} for at in range(23)]
    return [Sample(key=content_key(fields), fields=fields) for fields in rows]


def extract(
    checkpoint: Path, out: Path, at: int, memory: int, edited: Sequence[tuple[str, ...]] = (), **more: Any
) -> None:
    """Layer by layer, intact and under edits, with a checkpoint of the states at each and little memory for them, until
    event `at` (0: to its end); notes the units that it read, and the events."""
    torch.set_num_threads(1)
    checkpoints.EVERY, checkpoints.SHARE, units.LARGE, units.ALIGNED = 0.0, 0, 1 << 12, 64
    doom = Doom(at)
    for event in EVENTS:
        doom.before(*event)
    streaming.LEAST = 1 << 13                               # states are spilled, too
    installed = Installed()
    opened = installed.make("architecture", "transformers").open(str(checkpoint), installed)
    budget = Budget(**{"micro_batch": 2, "scratch": out / "scratch", "memory": memory} | more)
    room = Streamed(opened, "cpu", budget=budget)
    basis = Basis(mean=torch.zeros(32), directions=torch.eye(32)[:, :8], scale=1.0)
    rows = samples()
    edits = [Mean(*modules) for modules in edited]
    states = [record(path, edit) for path in (*PATHS, "final") for edit in ("", *(each.name for each in edits))]
    names = ("tokens", *states)
    writer = ShardWriter(out / "shards", [row.key for row in rows], names, teacher="tiny", per_shard=8)
    taps = [Tap(path="tokens"), Tap(path="final", basis=basis), *(Tap(path=path, basis=basis) for path in PATHS)]
    SliTeacher(opened, room, budget).observe(rows, taps, Shards(writer), edits)
    writer.finish()
    (out / "units").write_text(f"{len(room.loads)} {doom.count}")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, tokenizer: hf.PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(
    teacher: Path, out: Path, at: int = 0, memory: int = 1 << 24, edited: Any = (), **more: Any
) -> tuple[int, int]:
    """(units read, events) of an extraction in a process of its own; (0, 0) where it was ended."""
    (out / "units").unlink(missing_ok=True)
    process = FORK.Process(target=extract, args=(teacher, out, at, memory, edited), kwargs=more)
    process.start()
    process.join(900)
    assert process.exitcode == (-signal.SIGKILL if at else 0)
    read, events = (out / "units").read_text().split() if not at else ("0", "0")
    return int(read), int(events)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "shards").iterdir())}


def test_killed_at_random_moments_it_gives_the_same_bytes(teacher: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    count, events = run(teacher, whole)
    assert count == 10, "eight layers, the embedding and the head, each once"
    assert not list((whole / "scratch" / "states").glob("*"))
    moments = random.Random(5)
    for _ in range(5):
        run(teacher, out, moments.randrange(1, events // 3))
    assert run(teacher, out)[0] < count, "it went on where it was"
    assert files(out) == files(whole)
    for at in (events // 2, events * 9 // 10):
        again = tmp_path / str(at)
        run(teacher, again, at)
        assert run(teacher, again)[0] < count
        assert files(again) == files(whole)


def test_states_that_are_damaged_are_not_used(teacher: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    count, events = run(teacher, whole)
    run(teacher, out, events // 2)
    for data in (out / "scratch" / "states").glob("states-*.bin"):
        raw = bytearray(data.read_bytes())
        raw[len(raw) // 2] ^= 255
        data.write_bytes(bytes(raw))
    assert run(teacher, out)[0] >= count, "from the beginning"
    assert files(out) == files(whole)


def test_layers_in_parts_are_resumed_too(teacher: Path, tmp_path: Path) -> None:
    whole, out, little = tmp_path / "whole", tmp_path / "killed", 40_000
    count, events = run(teacher, whole, memory=little)
    assert count > 20
    run(teacher, out, events // 2, little)
    assert run(teacher, out, memory=little)[0] < count
    assert files(out) == files(whole)


@pytest.mark.parametrize("samples_at_once", [1, 2])
def test_in_bfloat16_it_is_resumed_too(teacher: Path, tmp_path: Path, samples_at_once: int) -> None:
    """Its attention keeps tables from one forward to the next, which are no forward's states."""
    more, whole, out = {"precision": "bfloat16", "micro_batch": samples_at_once}, tmp_path / "whole", tmp_path / "out"
    count, events = run(teacher, whole, **more)
    run(teacher, out, events // 2, **more)
    assert run(teacher, out, **more)[0] < count, "it went on where it was"
    assert files(out) == files(whole)


def test_killed_under_edits_it_gives_the_same_bytes(teacher: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    count, events = run(teacher, whole, edited=EDITS)
    assert count == 10, "each unit once for all edits"
    run(teacher, out, events // 2, edited=EDITS)
    run(teacher, out, events // 4, edited=EDITS)
    assert run(teacher, out, edited=EDITS)[0] < count, "it went on where it was"
    assert files(out) == files(whole)
    again = tmp_path / "again"
    run(teacher, again, events * 4 // 5, edited=EDITS)      # their number differs by a twentieth from run to run
    assert run(teacher, again, edited=EDITS[:2])[0] >= count, "states of other edits are not used"


def test_two_modules_of_layers_in_parts_are_edited_as_they_were_seen(teacher: Path, tmp_path: Path) -> None:
    """A checkpoint between what an edit has seen of a layer and its own passing would lose the mean."""
    whole, out, edited = tmp_path / "whole", tmp_path / "killed", (("model.layers.1", "model.layers.3"),)
    _, events = run(teacher, whole, memory=40_000, edited=edited)
    run(teacher, out, events * 3 // 5, 40_000, edited)
    run(teacher, out, memory=40_000, edited=edited)
    assert files(out) == files(whole)
