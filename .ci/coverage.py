"""Compares the branch coverage of each package with what it must have.

python .ci/coverage.py coverage.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

NEEDED: Mapping[str, float] = {
    "specs/nexus_*": 95.0,
    "nexus_host/*": 95.0,
    "plugins/nexus-student/nexus_student/*": 95.0,
    "plugins/nexus-train/nexus_train/*": 95.0,
    "plugins/nexus-student/nexus_student/router*": 100.0,
}
"""Files, as a pattern -> percent of their lines and branches together."""
SHOWN = 8


def percent(figures: list[Mapping[str, Any]]) -> float:
    """Lines and branches that ran, of those there are."""
    ran = sum(each["covered_lines"] + each["covered_branches"] for each in figures)
    there = sum(each["num_statements"] + each["num_branches"] for each in figures)
    return 100.0 * ran / there if there else 0.0


def worst(files: Mapping[str, Any]) -> list[str]:
    """The files that lack most, with their lines."""

    def lacking(name: str) -> int:
        summary = files[name]["summary"]
        return int(summary["missing_lines"] + summary["missing_branches"])

    names = sorted(files, key=lacking, reverse=True)[:SHOWN]
    return [f"    {name}: lines {_ranges(files[name]['missing_lines'])}" for name in names if lacking(name)]


def _ranges(lines: list[int]) -> str:
    """[1, 2, 3, 7] -> "1-3, 7"."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return (
        ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "whole, not all branches"
    )


def judge(report: Mapping[str, Any]) -> bool:
    """Prints a line for each package; whether all have enough."""
    enough = True
    for pattern, needed in NEEDED.items():
        files = {name: entry for name, entry in report["files"].items() if fnmatch(name, pattern)}
        reached = percent([entry["summary"] for entry in files.values()])
        good = reached >= needed
        print(f"{pattern:45} {reached:6.2f} % of {needed:.0f} % ({len(files)} files) {'ok' if good else 'TOO LOW'}")
        if not good:
            print("\n".join(worst(files)) or "    no file was measured: is the package in [tool.coverage.run] source?")
        enough = enough and good
    return enough


if __name__ == "__main__":
    sys.exit(0 if judge(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))) else 1)
