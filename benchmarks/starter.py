"""The embedded default, measured: `nexus run` from nothing, with several seeds.

Prints for each run its wall time and, for each capability, teacher, student, control, retention with its lower end
and gap closed; then the medians beside the limits of the contract (6 minutes, 0.95, 0.6).

    python benchmarks/starter.py             # three seeds; results/starter.json is what --write gave
    python benchmarks/starter.py --quick     # two perception towers, few steps: under a minute, no claim
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 360.0
SHOWN = frozenset({
    "name", "teacher_score", "student_score", "forced_score", "control_score", "floor", "retention", "retention_low",
    "retention_high", "gap_closed", "share", "passed",
})  # fmt: skip
QUICK = ["--models", "digits,tones", "--sample-size", "200", "--set", "run.stages.train.steps=60", "--allow-below"]


def measure(seed: int, folder: Path, extra: list[str]) -> dict[str, Any]:
    """One run from an empty folder: seconds and the manifest's capabilities."""
    command = [sys.executable, "-m", "nexus_host", "run", "--run-dir", str(folder), "--set", f"run.seed={seed}", *extra]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    manifest = folder / "release" / "manifest.json"
    if not manifest.exists():
        last = done.stderr[-2000:]
        raise SystemExit(f"`nexus run` with seed {seed} made no release (exit code {done.returncode}):\n{last}")
    machine = json.loads((folder / "machine.json").read_text())["machine"]
    capabilities = [
        {name: value for name, value in each.items() if name in SHOWN}
        for each in json.loads(manifest.read_text())["capabilities"]
    ]
    return {"seed": seed, "seconds": seconds, "machine": machine, "capabilities": capabilities}


def show(run: dict[str, Any]) -> None:
    """One run as lines."""
    print(f"seed {run['seed']}: {run['seconds']:.0f} s (limit {LIMIT_SECONDS:.0f})")
    for one in run["capabilities"]:
        gap = "not judged" if one["gap_closed"] is None else f"{one['gap_closed']:.2f}"
        print(
            f"  {one['name']:14s} teacher {one['teacher_score']:.3f}  student {one['student_score']:.3f}  control "
            f"{one['control_score']:.3f}  retention {one['retention']:.3f} (low {one['retention_low']:.3f}, limit "
            f"{one['share']:.2f})  gap closed {gap}  {'pass' if one['passed'] else 'FAIL'}"
        )


def figures(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all runs together."""
    every = [one for run in runs for one in run["capabilities"]]
    gaps = [one["gap_closed"] for one in every if one["gap_closed"] is not None]
    return {
        "runs": len(runs),
        "seconds": round(statistics.median(run["seconds"] for run in runs), 1),
        "seconds_over_limit": round(statistics.median(run["seconds"] for run in runs) / LIMIT_SECONDS, 3),
        "lowest_retention_low": round(min(one["retention_low"] for one in every), 4),
        "lowest_gap_closed": round(min(gaps), 4) if gaps else None,
        "gaps_judged": len(gaps),
        "passed": sum(one["passed"] for one in every),
        "capabilities": len(every),
    }


def main() -> None:
    """Runs, prints, and with --json ends with one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two towers, few steps, one seed")
    parser.add_argument("--json", action="store_true", help="last line: the figures as one JSON object")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="new folder in which the runs stay, each under its seed")
    parser.add_argument("--write", type=Path, help="JSON file that keeps every run's table and the figures")
    arguments = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in arguments.seeds[:1] if arguments.quick else arguments.seeds:
            folder = (arguments.keep or Path(temporary)) / str(seed)
            runs.append(measure(seed, folder.absolute(), QUICK if arguments.quick else ["--allow-below"]))
            show(runs[-1])
    found = figures(runs)
    if arguments.write:
        arguments.write.write_text(json.dumps({"figures": found, "runs": runs}, indent=1) + "\n")
    print("  ".join(f"{name} {value}" for name, value in found.items()))
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
