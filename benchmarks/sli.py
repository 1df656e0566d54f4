"""Streaming a checkpoint that does not fit: Nexus beside what others do, and beside what the machine can do at most.

python benchmarks/sli.py                 all cases and contenders, three interleaved rounds: hours on two cores
python benchmarks/sli.py --rounds 1 --only nexus,resident,disk      a part of it, kept: the rest can follow
python benchmarks/sli.py --quick         a small model, few contenders: under a minute, no claim

A random Llama of 3.6 GB in bfloat16; the page cache is emptied all the while; Nexus is given 1 GB. Every measurement
is a process of its own and is kept in --work, so a run that was stopped goes on. The limit is the larger of the time
to read the checkpoint once and the time of the same forwards on weights that are there already.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from report import arguments, finish
from safetensors.torch import load_file
from streaming.corpus import FULL, QUICK, Case, Size, make, weights
from streaming.environments import python

MEMORY, STATES_AND_CODE = 1 << 30, 350 << 20
MAIN = (Case(32, 256, 1), Case(32, 256, 4))
SHORT = Case(64, 32, 1)
GROWING = (Case(8, 128, 4), Case(32, 128, 4), Case(128, 128, 4))
OTHERS = ("accelerate", "airllm")
EVERY = ("disk", "resident", "nexus", "accelerate", "airllm", "llmcompressor")
COLUMNS = ("case", "contender", "rounds", "seconds", "GB read", "peak MB", "over limit", "nexus is faster", "equal")
FLAGS = {
    "rounds": {"type": int, "default": 3, "help": "interleaved rounds"},
    "only": {"default": "", "help": "contenders, by commas"},
    "work": {"type": Path, "default": Path(tempfile.gettempdir()) / "nexus-sli", "help": "checkpoint and results"},
    "fresh": {"action": "store_true", "help": "forget results that are there"},
    "timeout": {"type": int, "default": 3600, "help": "seconds that one measurement may take"},
}


@dataclass
class Bench:
    """One benchmark: what is measured, and where it is kept."""

    home: Path
    size: Size
    rounds: int
    contenders: tuple[str, ...]
    cases: tuple[Case, ...]
    timeout: int

    @property
    def results(self) -> Path:
        """One line of JSON for each measurement."""
        return self.home / f"{self.size.name}.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """What was measured so far."""
        lines = self.results.read_text().splitlines() if self.results.is_file() else []
        return [json.loads(line) for line in lines]

    def plan(self) -> Iterator[tuple[int, Case, str]]:
        """Round by round, so that the machine's moods meet all alike."""
        for number in range(self.rounds):
            for case in self.cases:
                for name in self.contenders:
                    if name == "disk" and case != self.cases[0]:
                        continue
                    if case in GROWING and name not in ("nexus", "resident"):
                        continue
                    if name == "llmcompressor" and case.micro_batch == 1:
                        continue
                    yield number, case, name

    def run(self) -> None:
        """All measurements that are not there yet."""
        folder = make(self.size, self.home)
        done = {(row["round"], row["case"], row["contender"]) for row in self.rows()}
        for number, case, name in self.plan():
            if (number, case.name, name) not in done:
                row = {"round": number, "case": case.name, "contender": name, **self.measure(folder, case, name)}
                with self.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), file=sys.stderr)

    def measure(self, folder: Path, case: Case, name: str) -> dict[str, Any]:
        """One contender in its process; {"failed": why} where it does not get through."""
        out = self.home / f"{name}-{case.samples}-{case.tokens}-{case.micro_batch}.json"
        script = Path(__file__).parent / "streaming" / "contenders.py"
        numbers = (case.samples, case.tokens, case.micro_batch, MEMORY)
        try:
            command = [python(name, self.home), str(script), name, str(folder), str(out), *map(str, numbers)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.timeout, check=False)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return {"failed": str(error)[-400:]}
        if done.returncode:
            return {"failed": done.stderr.strip()[-400:]}
        figures: dict[str, Any] = json.loads(out.read_text())
        if name not in ("disk", "resident"):
            figures |= self.compared(out, case)
        return figures

    def compared(self, out: Path, case: Case) -> dict[str, Any]:
        """Whether every tap is that of the resident forward, bit for bit, and how far it is away."""
        other = self.home / f"resident-{case.samples}-{case.tokens}-{case.micro_batch}.safetensors"
        if not other.is_file():
            return {}
        found, expected = load_file(out.with_suffix(".safetensors")), load_file(other)
        taps = sorted(set(found) & set(expected))
        equal = all(torch.equal(found[tap], expected[tap]) for tap in taps)
        far = max(float((found[tap].float() - expected[tap].float()).abs().max()) for tap in taps)
        return {"equal": equal, "difference": far}


class Medians:
    """The measurements, summed up."""

    def __init__(self, rows: list[dict[str, Any]], size: int) -> None:
        self.rows, self.size = [row for row in rows if "failed" not in row], size
        self.failed = {(row["case"], row["contender"]): row["failed"] for row in rows if "failed" in row}

    def of(self, case: Case | None, name: str, figure: str) -> float:
        """The median of a figure; NaN where there is none."""
        values = [
            float(row[figure]) for row in self.rows
            if row["contender"] == name and figure in row and (case is None or row["case"] == case.name)
        ]  # fmt: skip
        return statistics.median(values) if values else float("nan")

    def limit(self, case: Case) -> float:
        """The larger of reading once and computing once, in seconds."""
        return max(self.of(None, "disk", "seconds"), self.of(case, "resident", "compute_seconds"))

    def faster(self, case: Case, than: str) -> float:
        """How many times less time Nexus takes."""
        return self.of(case, than, "seconds") / self.of(case, "nexus", "seconds")

    def ratio(self, case: Case) -> float:
        """Bytes that Nexus read, as a multiple of the checkpoint."""
        return self.of(case, "nexus", "file_bytes") / self.size


def table(medians: Medians, cases: tuple[Case, ...], contenders: tuple[str, ...]) -> list[list[Any]]:
    """A row for each case and contender."""
    rows = []
    for case in cases:
        for name in contenders:
            found = [row for row in medians.rows if row["contender"] == name and row["case"] == case.name]
            if not found:
                if why := medians.failed.get((case.name, name)):
                    rows.append([case.name, name, 0, "", "", "", "", "", f"failed: {why[-60:]!r}"])
                continue
            seconds = medians.of(case, name, "seconds")
            rows.append([
                case.name, name, len(found), f"{seconds:.1f}", f"{medians.of(case, name, 'bytes_read') / 1e9:.2f}",
                f"{medians.of(case, name, 'peak_bytes') / 1e6:.0f}", f"{seconds / medians.limit(case):.2f}",
                f"{medians.faster(case, name):.2f}", {True: "yes", False: "no"}.get(found[-1].get("equal"), ""),
            ])  # fmt: skip
    return rows


def figures(medians: Medians, cases: tuple[Case, ...], size: Size) -> dict[str, Any]:
    """What the contract asks for."""
    main = [case for case in cases if case not in GROWING and case != SHORT]
    ours = [row for row in medians.rows if row["contender"] == "nexus"]
    layer = 2 * (2 * size.hidden**2 + 2 * size.hidden * (size.hidden // 4) + 3 * size.hidden * size.inner)
    largest = max(layer, 2 * size.vocabulary * size.hidden)
    found: dict[str, Any] = {
        "bit_equal": bool(ours) and all(row.get("equal", True) for row in ours),
        "bytes_read_ratio": max((row["file_bytes"] / medians.size for row in ours), default=float("nan")),
        "wall_over_limit": max(medians.of(case, "nexus", "seconds") / medians.limit(case) for case in main),
        "predicted_over_measured": statistics.median(
            [row["predicted_seconds"] / row["seconds"] for row in ours if row["case"] in {case.name for case in main}]
            or [float("nan")]
        ),
        "peak_bytes": max((row["peak_bytes"] for row in ours), default=0),
        "peak_allowed": 2 * largest + STATES_AND_CODE + 2 * size.hidden * max(c.samples * c.tokens for c in cases),
    }
    for other in OTHERS:
        for case in cases:
            if case not in GROWING:
                name = "short" if case == SHORT else str(case.micro_batch)
                found[f"speedup_over_{other}_{name}"] = medians.faster(case, other)
        found[f"speedup_over_{other}"] = found.get(f"speedup_over_{other}_1")
    for case in cases:
        if case in GROWING:
            found[f"seconds_{case.samples}"] = medians.of(case, "nexus", "seconds")
            found[f"over_limit_{case.samples}"] = medians.of(case, "nexus", "seconds") / medians.limit(case)
    return found


def main() -> None:
    """Measures and prints."""
    given = arguments(__doc__, **FLAGS)
    given.work.mkdir(parents=True, exist_ok=True)
    chosen = tuple(given.only.split(",")) if given.only else EVERY
    cases, size = (*MAIN, SHORT, *GROWING), FULL
    if given.quick:
        chosen, cases, size, given.rounds = EVERY[:4], (Case(8, 64, 1),), QUICK, 1
    bench = Bench(given.work, size, given.rounds, chosen, cases, given.timeout)
    if given.fresh or given.quick:
        bench.results.unlink(missing_ok=True)
    bench.run()
    stored = sum(path.stat().st_size for path in weights(given.work / size.name))
    medians = Medians(bench.rows(), stored)
    finish(COLUMNS, table(medians, cases, EVERY), figures(medians, cases, size), given)


if __name__ == "__main__":
    main()
