"""Stage `extract`: a teacher's outputs as shards. Afterwards the teacher is closed for good."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexus_specs import Basis, Blueprint, Context, Estimate, NexusError, Paused, Piece, Sample, Tap
from nexus_torch.files import write_json
from nexus_torch.profiles import read_bases, read_profile
from nexus_torch.shards import STATE, ShardWriter

from .amount import observed, recorded, shard_bytes
from .batches import whole_batches
from .options import ExtractOptions
from .sparse import sparse_blocks

RECORDS = ("logits", "states")


class ExtractStage:
    """Records the union of what the losses need, for every training sample. Runs in the precision that training runs
    in (`budget.precision`, which is hashed): bfloat16 moves a next-token distribution by less than 1e-4 nats."""

    def __init__(self, **options: Any) -> None:
        self.options = ExtractOptions(**options)

    def estimate(self, context: Context) -> Estimate:
        """One pass over the training part, and the room for its shards: once in scratch, then moved."""
        options = ExtractOptions(**context.options) if context.options else self.options
        estimate, blueprint, samples = observed(context, "train", context.budget, paths=recorded(context))
        shards = shard_bytes(context, blueprint, samples, options.exact + options.sampled)
        return replace(estimate, disk=estimate.disk + shards)

    def run(self, context: Context) -> None:
        """Writes shards to scratch as they fill, so that a killed extraction goes on; then hands them over."""
        options = ExtractOptions(**context.options) if context.options else self.options
        profile = read_profile(context.inputs("profile")[context.unit.subject])
        taps = wanted(profile.blueprint, context.records, read_bases(profile))
        keys = [sample.key for sample in context.samples("train")]
        with TemporaryDirectory() as nowhere:
            scratch = context.budget.scratch if context.budget.scratch != Path() else Path(nowhere)
            writer = ShardWriter(
                scratch / "shards", keys, [name for tap in taps for name in names(tap)],
                teacher=context.unit.subject, records=context.records,
                vocabulary=profile.blueprint.vocabulary,
                per_shard=whole_batches(options.per_shard, context.budget.micro_batch),
            )  # fmt: skip
            self._observe(context, writer, taps, options)
            self._hand_over(context, writer)

    def _observe(self, context: Context, writer: ShardWriter, taps: Sequence[Tap], options: ExtractOptions) -> None:
        if not (pending := frozenset(writer.pending)):
            return
        sink = ShardSink(context, writer, options, len(writer.group_of) - len(pending))
        checkpoint = context.open(str(context.card["source"]))
        with context.chosen("engine").load(checkpoint, context.budget) as teacher:
            teacher.observe(_once(context, pending), taps, sink)

    def _hand_over(self, context: Context, writer: ShardWriter) -> None:
        files = writer.finish()
        with context.write("table.json") as target:
            write_json(target, table(writer, sum(path.stat().st_size for path in files)))
        for path in files:
            with context.write(path.name) as target:
                _move(path, target)


class ShardSink:
    """Thins out logits as they come, and reports."""

    durable = True
    """What was put before a `flush` outlives the process: an engine may go on in the middle of a corpus."""

    def __init__(self, context: Context, writer: ShardWriter, options: ExtractOptions, done: int) -> None:
        self.context, self.writer, self.options = context, writer, options
        self.total, self.done, self.seen = len(writer.group_of), done, set[str]()

    def put(self, piece: Piece) -> None:
        """Stores some samples' values of one tap."""
        if piece.tap == "logits":
            for at, key in enumerate(piece.keys):
                found = sparse_blocks(piece.blocks(at), key, self.options.exact, self.options.sampled)
                for name, value in zip(names(Tap(path="logits")), found, strict=True):
                    self.writer.put(key, name, value)
        else:
            for key, value in zip(piece.keys, piece.values, strict=True):
                self.writer.put(key, names(Tap(path=piece.tap))[0], value)
        self._count(piece.keys)

    def flush(self) -> None:
        """Whole shards are on the disk already; what waits for one goes there."""
        self.writer.flush()

    def forget(self) -> None:
        """What was put came from damaged weights."""
        self.writer.forget()

    def _count(self, keys: Sequence[str]) -> None:
        fresh = self.seen.isdisjoint(keys)
        self.seen.update(keys)
        if fresh and not self.context.report(self.done + len(self.seen), self.total):
            raise Paused


def wanted(blueprint: Blueprint, records: Sequence[str], bases: Mapping[str, Basis]) -> list[Tap]:
    """The taps behind some records: "logits" are a sparse next-token distribution or the scores of classes, "states"
    those of the layers that have a basis. Tokens and their spans are always there for text."""
    if unknown := sorted(set(records) - set(RECORDS)):
        raise NexusError(
            f"No record is named {', '.join(map(repr, unknown))}. A loss may ask for: {', '.join(RECORDS)}."
        )
    text = blueprint.gives == ("text",)
    taps = [Tap(path="tokens"), Tap(path="spans")] if text else []
    if "logits" in records or not text:
        taps.append(Tap(path="logits" if text else "output"))
    if "states" in records:
        taps += [Tap(path=path, basis=bases[path]) for path in sorted(bases)]
    return taps


def names(tap: Tap) -> tuple[str, ...]:
    """The names under which a tap is stored."""
    if tap.path == "logits":
        return "ids", "probabilities"
    return (tap.path,) if tap.path in ("tokens", "spans", "output") else (STATE + tap.path,)


def table(writer: ShardWriter, size: int) -> dict[str, Any]:
    """What `nexus show` prints; `size` in bytes."""
    return {
        "title": f"Shards of {writer.about['teacher']}",
        "columns": ["record", "samples"],
        "rows": [[name, len(writer.group_of)] for name in writer.names],
        "notes": [f"{len(writer.groups)} shards, {size:,} bytes, read by key, hashes in index.json."],
    }


def _once(context: Context, pending: frozenset[str]) -> Iterator[Sample]:
    """The samples still to observe, each key once."""
    seen: set[str] = set()
    for sample in context.samples("train"):
        if sample.key in pending and sample.key not in seen:
            seen.add(sample.key)
            yield sample


def _move(path: Path, target: Path) -> None:
    try:
        path.replace(target)
    except OSError:                         # scratch lies on another disk
        shutil.copyfile(path, target)
