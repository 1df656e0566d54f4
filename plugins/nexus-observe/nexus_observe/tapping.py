"""Command `taps`: one teacher, some data, some layers, no registry. What `nexus extract SOURCE --taps` runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from nexus_specs import (
    Blueprint,
    Budget,
    Checkpoint,
    Lookup,
    NexusError,
    Piece,
    Sample,
    Split,
    Tap,
    as_shown,
    reader_for,
    sizes,
)
from nexus_torch.files import write_json
from nexus_torch.shards import ShardWriter

from .asked import records, refuse_unknown, wanted
from .batches import whole_batches
from .options import TapsOptions
from .progress import Progress, duration
from .sparse import sparse_blocks
from .unfinished import Unfinished, Unlike, request, told

PARTS: tuple[Split, ...] = ("train", "development", "held_out")
SHARE, COUNTED = 0.8, 256
"""Of the free memory, where none is named; samples whose tokens are counted to tell how long it will take."""
PER_SHARD = 256
"""Samples of a shard, at least."""


class Taps:
    """Records the states of chosen layers, what the model gives, and the tokens, as shards."""

    def __init__(self, **options: Any) -> None:
        self.options = TapsOptions(**options)

    def __call__(self, lookup: Lookup) -> int:
        """0; what was stopped goes on when it is called again. NexusError for what does not fit together."""
        out = Path(self.options.out).absolute()
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise NexusError(f"--out {out} exists already. Choose another folder, or remove it.")
        if not self.options.source:
            raise NexusError("Which teacher? Give SOURCE: a folder, a package: resource or a hub id.")
        if not self.options.data:
            raise NexusError("What shall the teacher be asked? Give --data FILE or a folder.")
        size(self.options.memory)                           # before anything is read
        size(self.options.disk, "--disk")
        blueprint = lookup.inspect(self.options.source)
        if blueprint.weightless:
            raise NexusError(
                f"'{self.options.source}' lacks {', '.join(blueprint.missing)}: it can be inspected, and not run. Put "
                "into it what is missing."
            )
        taps = wanted(blueprint, self.options.taps)
        samples = list(self._samples(lookup))
        if not samples:
            raise NexusError(f"--data {self.options.data}: it holds no sample.")
        work = Unfinished(out)
        with work.held():
            try:
                with told(work):
                    writer = self._write(lookup, blueprint, taps, samples, work)
                    files, names = self._finished(writer, blueprint)
            except KeyboardInterrupt:
                say("Stopped. The same command goes on from here.")
                raise
            work.hand_over(files)
        print(f"{len(samples)} samples, {', '.join(names)}: {out}")
        return 0

    def _finished(self, writer: ShardWriter, blueprint: Blueprint) -> tuple[list[Path], list[str]]:
        """The files, and what is recorded in them."""
        files, names = writer.finish(), writer.present()
        write_json(files[0].parent / "table.json", {
            "title": f"States of {blueprint.head}", "columns": ["record", "samples"],
            "rows": [[name, len(writer.group_of)] for name in names],
        })  # fmt: skip
        return files, names

    def _write(
        self, lookup: Lookup, blueprint: Blueprint, taps: Sequence[Tap], samples: Sequence[Sample], work: Unfinished
    ) -> ShardWriter:
        engine = lookup.make("engine", next(iter(lookup.components("engine"))))
        checkpoint = lookup.open(self.options.source)
        refuse_unknown(checkpoint, taps)
        asked = request(self.options.source, checkpoint, [tap.path for tap in taps], [each.key for each in samples])
        pinned = work.take_up(asked)
        lengths = getattr(checkpoint, "lengths", None)
        counts = (lengths(samples[:COUNTED]) if lengths else None) or [0]
        read = _weights_in(checkpoint) or Path(sys.prefix)      # of a hub's files nothing may be written yet
        known = as_shown(blueprint, checkpoint, samples, [tap.path for tap in taps])
        budget = self._settled(engine, known, work.folder, pinned, max(counts), read)
        work.begin(asked, budget)
        writer = ShardWriter(
            work.folder / "shards", [each.key for each in samples], [name for tap in taps for name in records(tap)],
            optional=[tap.path for tap in taps if tap.optional], teacher=blueprint.head,
            vocabulary=blueprint.vocabulary, per_shard=whole_batches(PER_SHARD, budget.micro_batch),
        )  # fmt: skip
        if pending := set(writer.pending):
            left = [each for each in samples if each.key in pending]
            estimate = engine.estimate(known, len(left), 0, budget, tokens=sum(counts) / len(counts))
            there = f"; {len(samples) - len(left)} samples are there already" if len(left) < len(samples) else ""
            say(f"{estimate.how}; about {duration(estimate.seconds)}{there}")
            _observe(engine, checkpoint, budget, left, taps, Records(writer, taps[0].path, len(left)))
        return writer

    def _settled(
        self, engine: Any, blueprint: Blueprint, folder: Path, pinned: Mapping[str, Any], longest: int,
        read: Path | None = None,
    ) -> Budget:  # fmt: skip
        """The budget, with what decides the bits as it was when the work began; else for the longest of the samples
        whose tokens were counted. `read` is on the disk that is read from."""
        budget = self._budget(engine.machine(read or folder), folder)
        for name in ("micro_batch", "threads"):
            if (now := getattr(self.options, name)) and pinned.get(name) not in (None, now):
                flag = f"--{name.replace('_', '-')}"
                raise Unlike(
                    f"{flag} {now}: this extraction began with {flag} {pinned[name]}, and another number gives other "
                    f"bits. Leave {flag} out, and what was recorded goes on; or choose another --out."
                )
        memory = budget.memory if self.options.memory else pinned.get("memory", budget.memory)
        budget = replace(budget, **{**pinned, "memory": memory})
        if hasattr(engine, "place"):
            return engine.place(blueprint, budget, tokens=longest)  # type: ignore[no-any-return]
        return budget if budget.micro_batch else replace(budget, micro_batch=8)

    def _budget(self, machine: Any, work: Path) -> Budget:
        return Budget(
            device=machine.device, memory=size(self.options.memory) or int(SHARE * machine.memory),
            disk=size(self.options.disk, "--disk") or shutil.disk_usage(work).free, scratch=work / "scratch",
            threads=self.options.threads or _threads() or machine.cores,
            precision="bfloat16" if machine.bfloat16 else "float32", micro_batch=self.options.micro_batch,
            residency=self.options.residency, gigaflops=machine.gigaflops,
            gigaflops_float32=machine.gigaflops_float32, read_rate=machine.read_rate, weight_rate=machine.weight_rate,
            call_rate=machine.call_rate,
        )  # fmt: skip

    def _samples(self, lookup: Lookup) -> Iterator[Sample]:
        """All parts of the data, each sample once."""
        reader = lookup.make("reader", reader_for(self.options.data, lookup), path=self.options.data)
        seen: set[str] = set()
        every = (sample for part in PARTS for sample in reader.samples(part))
        for sample in islice(every, self.options.samples or None):
            if sample.key not in seen:
                seen.add(sample.key)
                yield sample


def _weights_in(checkpoint: Any) -> Path | None:
    """The folder of a checkpoint's largest file, if it is here: the disk that is read, which need not be the one that
    is written to."""
    names = {extent.file for part in checkpoint.parts for extent in part.extents}
    here = [path for path in map(Path, names) if path.is_file()]
    return max(here, key=lambda path: path.stat().st_size).parent if here else None


def _threads() -> int:
    """As many as OMP_NUM_THREADS says; 0 where it says nothing."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isdecimal() else 0


def _observe(
    engine: Any, checkpoint: Checkpoint, budget: Budget, samples: Sequence[Sample], taps: Sequence[Tap], sink: Records
) -> None:
    torch.set_num_threads(budget.threads)
    try:
        with engine.load(checkpoint, budget) as teacher:
            teacher.observe(samples, taps, sink)
    finally:
        sink.shown.broken()


class Records:
    """Puts pieces into shards; what was put before a flush outlives the process."""

    durable = True

    def __init__(self, writer: ShardWriter, first: str, total: int) -> None:
        self.writer, self.first, self.total = writer, first, total
        self.shown, self.seen, self.streamed = Progress("extract"), 0, False

    def put(self, piece: Piece) -> None:
        """Stores some samples' values of one tap."""
        names = records(Tap(path=piece.tap))
        for at, key in enumerate(piece.keys):
            thinned = piece.tap == "logits"
            values = sparse_blocks(piece.blocks(at), key) if thinned else (piece.values[at],)
            for name, value in zip(names, values, strict=True):
                self.writer.put(key, name, value)
        if piece.tap == self.first and not self.streamed:
            self.seen += len(piece.keys)
            self.shown(self.seen, self.total)

    def progress(self, done: int, total: int) -> None:
        """Of a streamed observation, which is all at its taps at once."""
        self.streamed = True
        self.shown(done, total)

    def note(self, text: str) -> None:
        """What people should know."""
        self.shown.broken()
        say(text)

    def flush(self) -> None:
        """Durable."""
        self.writer.flush()

    def forget(self) -> None:
        """What was put came from damaged weights."""
        self.writer.forget()


def size(text: str, flag: str = "--memory") -> int:
    """Bytes of "2GiB" or "500 MB"; 0 for "". NexusError for what is no size."""
    try:
        return sizes.size(text) if text else 0
    except ValueError as error:
        raise NexusError(f"{flag}: {error}.") from error


def say(text: str) -> None:
    """Progress is no data."""
    print(text, file=sys.stderr, flush=True)
