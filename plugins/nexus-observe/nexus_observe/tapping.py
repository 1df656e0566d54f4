"""Command `taps`: one teacher, some data, some layers, no registry. What `nexus extract SOURCE --taps` runs."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Blueprint, Budget, Lookup, NexusError, Piece, ReaderComponent, Sample, Split, Tap, locate
from nexus_torch.files import write_json
from nexus_torch.shards import STATE, ShardWriter

from .options import TapsOptions

UNITS = {"": 1, "b": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("kmgt", 1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
PARTS: tuple[Split, ...] = ("train", "development", "held_out")
SHARE = 0.8
"""Of the free memory, where none is named."""
PER_SHARD = 256


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
        blueprint = lookup.inspect(self.options.source)
        taps = wanted(blueprint, self.options.taps)
        samples = list(self._samples(lookup))
        if not samples:
            raise NexusError(f"--data {self.options.data}: it holds no sample.")
        work = out.with_name(f".{out.name}.part")
        writer = self._write(lookup, blueprint, taps, samples, work)
        files = writer.finish()
        table = {"title": f"States of {blueprint.head}", "columns": ["record", "samples"],
                 "rows": [[name, len(writer.group_of)] for name in writer.names]}  # fmt: skip
        write_json(files[0].parent / "table.json", table)
        if out.exists():
            out.rmdir()
        files[0].parent.replace(out)
        shutil.rmtree(work)
        print(f"{len(samples)} samples, {', '.join(writer.names)}: {out}")
        return 0

    def _write(
        self, lookup: Lookup, blueprint: Blueprint, taps: Sequence[Tap], samples: Sequence[Sample], work: Path
    ) -> ShardWriter:
        name = next(iter(lookup.components("engine")))
        engine = lookup.make("engine", name)
        work.mkdir(parents=True, exist_ok=True)
        budget = self._budget(engine.machine(work), work)
        if not budget.micro_batch:
            budget = engine.place(blueprint, budget) if hasattr(engine, "place") else replace(budget, micro_batch=8)
        writer = ShardWriter(
            work / "shards", [each.key for each in samples], [record(tap) for tap in taps],
            teacher=blueprint.head, vocabulary=blueprint.vocabulary, per_shard=PER_SHARD,
        )  # fmt: skip
        pending = set(writer.pending)
        if pending:
            say(engine.estimate(blueprint, len(samples), 0, budget).how)
            torch.set_num_threads(budget.threads)
            with engine.load(lookup.open(self.options.source), budget) as teacher:
                teacher.observe([each for each in samples if each.key in pending], taps, Records(writer))
        return writer

    def _budget(self, machine: Any, work: Path) -> Budget:
        return Budget(
            device=machine.device, memory=size(self.options.memory) or int(SHARE * machine.memory),
            disk=shutil.disk_usage(work).free, scratch=work / "scratch",
            threads=self.options.threads or machine.cores,
            precision="bfloat16" if machine.bfloat16 else "float32", micro_batch=self.options.micro_batch,
            residency=self.options.residency, gigaflops=machine.gigaflops, read_rate=machine.read_rate,
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


class Records:
    """Puts pieces into shards; what was put before a flush outlives the process."""

    durable = True

    def __init__(self, writer: ShardWriter) -> None:
        self.writer, self.seen = writer, Counter[str]()

    def put(self, piece: Piece) -> None:
        """Stores some samples' values of one tap."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            self.writer.put(key, record(Tap(path=piece.tap)), value)
        before, self.seen[piece.tap] = self.seen[piece.tap], self.seen[piece.tap] + len(piece.keys)
        total = len(self.writer.group_of)
        if before * 10 // total < self.seen[piece.tap] * 10 // total:
            say(f"{piece.tap}: {self.seen[piece.tap]} of {total} samples")

    def flush(self) -> None:
        """Durable."""
        self.writer.flush()


def wanted(blueprint: Blueprint, chosen: str) -> list[Tap]:
    """What is recorded: the chosen layers, and what the model gives."""
    text = blueprint.gives == ("text",)
    taps = [Tap(path=name) for name in (("tokens", "spans", "logprob") if text else ("output",))]
    for each in filter(None, (part.strip() for part in chosen.split(","))):
        taps.append(Tap(path=layer(blueprint, each) if re.fullmatch(r"-?\d+", each) else each))
    return list({tap.path: tap for tap in taps}.values())


def layer(blueprint: Blueprint, number: str) -> str:
    """The path of a layer of the largest stack."""
    if not blueprint.stacks:
        raise NexusError(f"--taps {number}: {blueprint.head} has no stack of layers. Name modules by their path.")
    stack, at = blueprint.largest_stack, int(number)
    if not -stack.count <= at < stack.count:
        raise NexusError(f"--taps {number}: the stack '{stack.path}' has the layers 0 to {stack.count - 1}.")
    return stack.layers[at]


def record(tap: Tap) -> str:
    """The name under which a tap is stored."""
    return STATE + tap.path if "." in tap.path else tap.path


def reader_for(source: str, lookup: Lookup) -> str:
    """The reader of a file by its ending, of a folder by the commonest ending in it."""
    readers = {
        suffix: name
        for name, each in lookup.components("reader").items()
        if isinstance(each, ReaderComponent)
        for suffix in each.suffixes
    }
    path = locate(source)
    if not path.exists():
        raise NexusError(f"--data {source}: there is no such file or folder.")
    files = [path] if path.is_file() else islice((each for each in path.rglob("*") if each.is_file()), 1000)
    known = [suffix for suffix, _ in Counter(each.suffix.lower() for each in files).most_common() if suffix in readers]
    if not known:
        raise NexusError(f"--data {source}: no reader is installed for it. Readers know: {', '.join(sorted(readers))}.")
    return readers[known[0]]


def size(text: str) -> int:
    """Bytes of "2GiB" or "500 MB"; 0 for "".

    >>> size("1.5KiB")
    1536
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text or "0")
    if found is None or found[2].lower() not in UNITS:
        raise NexusError(f"--memory {text}: write a size like 2GiB, 500MB, or a number of bytes.")
    return int(float(found[1]) * UNITS[found[2].lower()])


def say(text: str) -> None:
    """Progress is no data."""
    print(text, file=sys.stderr, flush=True)
