"""How quick the command line is: seconds until `nexus --help` and the listings are there, and what they import.

python benchmarks/listing.py --quick
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from report import arguments, finish

COMMANDS = (
    ("--help",), ("list", "plugins", "--json"), ("list", "losses", "--json"), ("list", "towers", "--json"),
    ("list", "architectures", "--json"),
)  # fmt: skip
HEAVY = ("torch", "transformers", "numpy", "pyarrow")
PROBE = (
    "import json, sys\nfrom nexus_host.__main__ import run\n"
    "try:\n    run(sys.argv[1:])\nfinally:\n"
    f"    print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
)


def seconds(command: tuple[str, ...], times: int) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nexus_host", *command], capture_output=True, check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def heavy(command: tuple[str, ...]) -> str:
    """Heavy libraries that the command imported."""
    done = subprocess.run([sys.executable, "-c", PROBE, *command], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


if __name__ == "__main__":
    given = arguments(__doc__)
    rows = [[" ".join(command), seconds(command, 3 if given.quick else 9), heavy(command)] for command in COMMANDS]
    figures = {"slowest_seconds": max(row[1] for row in rows), "heavy_imports": sum(row[2] != "[]" for row in rows)}
    finish(["command", "seconds", "heavy imports"], rows, figures, given)
