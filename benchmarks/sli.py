"""Streaming a checkpoint that does not fit: Nexus beside what others do, and beside what the machine can do at most.

python benchmarks/sli.py                 all cases and contenders, three interleaved rounds: two hours on two cores
python benchmarks/sli.py --rounds 1 --only disk,compute,nexus --cases main      a part of it, kept: the rest can follow
python benchmarks/sli.py --quick         a small model, few contenders: under a minute, no claim
python benchmarks/sli.py --disk-rate 550 a disk of 550 MB/s (as root), as SATA has: hosts of virtual machines keep files
                                         in memory that no guest can empty, and so all are read as fast as that
python benchmarks/sli.py --device cuda   on a GPU of which 16 GB may be used, with a checkpoint of 20 GB

A random Llama of 3.5 GB in bfloat16; the page cache is emptied all the while; Nexus is given 1 GB. Every measurement
is a process of its own and is kept in --work, so a run that was stopped goes on. The limit is the larger of the time
to read the checkpoint once (`disk`) and the time of the same forwards on weights that are in memory and were touched
already (`compute`).
"""

from __future__ import annotations

import json
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
from streaming import device
from streaming.corpus import FULL, GROWING, MAIN, QUICK, SHORT, Case, Size, make, weights
from streaming.environments import python
from streaming.summary import COLUMNS, Medians, figures, table
from streaming.throttle import held_to

MEMORY = 1 << 30
CASES = {"main": MAIN, "short": (SHORT,), "growing": GROWING}
EVERY = ("disk", "compute", "resident", "nexus", "accelerate", "airllm", "llmcompressor")
CEILINGS = ("disk", "compute", "copies", "compute_cuda")
FLAGS = {
    "rounds": {"type": int, "default": 3, "help": "interleaved rounds"},
    "only": {"default": "", "help": f"contenders, by commas: {', '.join(EVERY)}"},
    "cases": {"default": "", "help": f"corpora, by commas: {', '.join(CASES)}"},
    "work": {"type": Path, "default": Path(tempfile.gettempdir()) / "nexus-sli", "help": "checkpoint and results"},
    "fresh": {"action": "store_true", "help": "forget results that are there"},
    "share": {
        "type": int,
        "default": 1,
        "help": "of the batches of accelerate and AirLLM run one in so many; the rest "
        "follows from what each batch after the first takes, and the table says so",
    },
    "disk-rate": {"type": int, "default": 0, "help": "MB a second to which the kernel holds readings; 0: as it is"},
    "device": {"default": "cpu", "choices": ("cpu", "cuda"), "help": "where the model runs"},
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
    share: int
    rate: int = 0
    """Of the disk, MB a second; 0: as it is."""

    @property
    def results(self) -> Path:
        """One line of JSON for each measurement."""
        return self.home / f"{self.size.name}{f'-{self.rate}' if self.rate else ''}.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """What was measured so far."""
        lines = self.results.read_text().splitlines() if self.results.is_file() else []
        return [json.loads(line) for line in lines]

    def plan(self) -> Iterator[tuple[int, Case, str]]:
        """Round by round, so that the machine's moods meet all alike."""
        for number in range(self.rounds):
            for case in self.cases:
                for name in self.contenders:
                    if self.wanted(case, name):
                        yield number, case, name

    def wanted(self, case: Case, name: str) -> bool:
        """Whether a contender is measured on a corpus."""
        if name in ("disk", "copies"):
            return case == self.cases[0]
        if name == "llmcompressor":
            return case == MAIN[1]
        if case in GROWING:
            return name in ("nexus", "compute")
        return case != SHORT or name in ("nexus", "compute", "accelerate")

    def run(self) -> None:
        """All measurements that are not there yet, or failed."""
        folder = make(self.size, self.home)
        done = {(row["round"], row["case"], row["contender"]) for row in self.rows() if "failed" not in row}
        disks = {row["round"] for row in self.rows() if row["contender"] == "disk" and "failed" not in row}
        for number, case, name in self.plan():
            if (number, case.name, name) not in done and not (name == "disk" and number in disks):
                row = {"round": number, "case": case.name, "contender": name, **self.measure(folder, case, name)}
                with self.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), file=sys.stderr)

    def measure(self, folder: Path, case: Case, name: str) -> dict[str, Any]:
        """One contender in its process; {"failed": why} where it does not get through."""
        out = self.home / f"{name}-{case.samples}-{case.tokens}-{case.micro_batch}.json"
        script = Path(__file__).parent / "streaming" / "contenders.py"
        numbers = (case.samples, case.tokens, case.micro_batch, MEMORY, self.share)
        try:
            command = [python(name, self.home), str(script), name, str(folder), str(out), *map(str, numbers)]
            with held_to(folder, self.rate * 10**6) as before:
                command = [*before, *command]
                done = subprocess.run(command, capture_output=True, text=True, timeout=self.timeout, check=False)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return {"failed": str(error)[-400:]}
        if done.returncode:
            return {"failed": done.stderr.strip()[-400:]}
        figures: dict[str, Any] = json.loads(out.read_text())
        if name not in CEILINGS:
            figures |= self.compared(out, case, name)
        return figures

    def compared(self, out: Path, case: Case, name: str) -> dict[str, Any]:
        """Whether every tap is that of the resident forward (transformers', else what the ceiling computed), bit for
        bit, and how far it is away."""
        names = [each for each in ("resident", "compute", "compute_cuda") if each != name]
        files = [self.home / f"{each}-{case.samples}-{case.tokens}-{case.micro_batch}.safetensors" for each in names]
        other = next((each for each in files if each.is_file()), None)
        if other is None:
            return {}
        found, expected = load_file(out.with_suffix(".safetensors")), load_file(other)
        taps = sorted(set(found) & set(expected))
        pairs = [(found[tap], expected[tap][: len(found[tap])]) for tap in taps]
        equal = all(torch.equal(one, other) for one, other in pairs)
        far = max(float((one.float() - other.float()).abs().max()) for one, other in pairs)
        return {"equal": equal, "difference": far}


def main() -> None:
    """Measures and prints."""
    given = arguments(__doc__, **FLAGS)
    given.work.mkdir(parents=True, exist_ok=True)
    chosen = tuple(given.only.split(",")) if given.only else EVERY
    names = given.cases.split(",") if given.cases else list(CASES)
    cases, size = tuple(case for name in names for case in CASES[name]), FULL
    if given.device == "cuda":
        chosen, cases, size = tuple(given.only.split(",")) if given.only else device.EVERY, device.CASES, device.SIZE
    elif given.quick:
        chosen, cases, size, given.rounds = EVERY[:5], (Case(8, 64, 1),), QUICK, 1
    bench = Bench(given.work, size, given.rounds, chosen, cases, given.timeout, given.share, given.disk_rate)
    if given.fresh or given.quick:
        bench.results.unlink(missing_ok=True)
    bench.run()
    stored = sum(path.stat().st_size for path in weights(given.work / size.name))
    medians = Medians(bench.rows(), stored)
    if given.device == "cuda":
        finish(COLUMNS, table(medians, cases, device.EVERY), device.figures(medians, cases), given)
        return
    cases = cases if given.quick else (*MAIN, SHORT, *GROWING)
    if left := [name for name in EVERY if not any(row["contender"] == name for row in bench.rows())]:
        print(f"Not measured: {', '.join(left)}{' (--quick)' if given.quick else ''}.")
    finish(COLUMNS, table(medians, cases, EVERY), figures(medians, cases, size), given)


if __name__ == "__main__":
    main()
