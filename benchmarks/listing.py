"""How quick the command line is: `nexus --help`, the listings and what they import, `inspect` of a trillion weights.

python benchmarks/listing.py --quick
python benchmarks/listing.py --record "a free machine"      # into benchmarks/results/listing.json

`inspect` is timed beyond its imports, for a configuration in the form of Kimi K2 and for one that asks for 1e9 layers,
which is refused. Figures count what `nexus list architectures` holds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report import arguments, finish, record

ARCHITECTURES = ("list", "architectures", "--json")
COMMANDS = (
    ("--help",), ("list", "plugins", "--json"), ("list", "losses", "--json"), ("list", "towers", "--json"),
    ARCHITECTURES, ("list", "architectures", "qwen3", "--modality", "text", "--loader", "transformers"),
)  # fmt: skip
HEAVY = ("torch", "transformers", "numpy", "pyarrow")
PROBE = (
    "import json, sys\nfrom nexus_host.__main__ import run\n"
    "try:\n    run(sys.argv[1:])\nfinally:\n"
    f"    print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
)
TRILLION = {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "num_hidden_layers": 61,
    "n_routed_experts": 384, "num_experts_per_tok": 8, "hidden_size": 7168, "moe_intermediate_size": 2048,
    "intermediate_size": 18432, "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 163840,
    "first_k_dense_replace": 1, "dtype": "bfloat16",
}  # fmt: skip
INSPECT = (
    "import sys, time\nfrom nexus_specs import NexusError\nimport nexus_torch.hugging_face.weights.checkpoint\n"
    "from transformers import DeepseekV3ForCausalLM\nfrom nexus_arch_transformers.architecture import Transformers\n"
    "for source in sys.argv[1:]:\n    began, busy = time.perf_counter(), time.process_time()\n"
    "    try:\n        Transformers().inspect(source)\n    except NexusError:\n        pass\n"
    "    print(time.perf_counter() - began, time.process_time() - busy)"
)
INSPECTED = (
    ("1.03e12 parameters", "inspect_1t", TRILLION),
    ("1e9 layers, refused", "refuse", TRILLION | {"num_hidden_layers": 10**9}),
)


def seconds(command: tuple[str, ...], times: int) -> tuple[float, float]:
    """The median of some runs: on the clock, and of the processor."""
    taken, busy = [], []
    for _ in range(times):
        began, before = time.perf_counter(), _processor()
        subprocess.run([sys.executable, "-m", "nexus_host", *command], capture_output=True, check=True)
        taken.append(time.perf_counter() - began)
        busy.append(_processor() - before)
    return statistics.median(taken), statistics.median(busy)


def _processor() -> float:
    """Seconds of the processor that the processes begun here have used, those that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def heavy(command: tuple[str, ...]) -> str:
    """Heavy libraries that the command imported."""
    done = subprocess.run([sys.executable, "-c", PROBE, *command], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


def inspected(every: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Seconds until each configuration is described or refused, beyond the imports: on the clock, and of the
    processor."""
    with tempfile.TemporaryDirectory() as place:
        homes = [Path(place) / str(number) for number in range(len(every))]
        for home, values in zip(homes, every, strict=True):
            home.mkdir()
            (home / "config.json").write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-c", INSPECT, *map(str, homes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[float(each) for each in line.split()] for line in done.stdout.splitlines()]


def held() -> dict[str, int]:
    """What the list of architectures holds: model types of transformers, those that generate, names of gguf, those of
    them that say which class opens them."""
    command = [sys.executable, "-m", "nexus_host", *ARCHITECTURES]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    types = [row for row in rows if row["loader"] == "transformers"]
    gguf = [row for row in rows if row["loader"] == "gguf"]
    return {
        "model_types": len(types), "generative": sum(bool(row.get("generates")) for row in types), "gguf": len(gguf),
        "gguf_with_class": sum(bool(row["heads"]) for row in gguf),
        "streams_verified": sum(row["streams"] == "verified" for row in types),
    }  # fmt: skip


def main() -> None:
    """The table."""
    keep = {"metavar": "NOTE", "help": "keep the figures and rows in benchmarks/results, with a note"}
    given = arguments(__doc__, record=keep)
    figures: dict[str, Any] = held()  # the first query after an upgrade asks the loaders
    rows: list[list[Any]] = [
        [" ".join(command), *seconds(command, 1 if given.quick else 9), heavy(command)] for command in COMMANDS
    ]
    figures |= {"slowest_seconds": max(row[1] for row in rows), "heavy_imports": sum(row[3] != "[]" for row in rows)}
    measured = inspected([values for _, _, values in INSPECTED])
    for (name, key, _), (clock, busy) in zip(INSPECTED, measured, strict=True):
        figures |= {f"{key}_seconds": clock, f"{key}_processor_seconds": busy}
        rows.append([f"inspect, beyond imports: {name}", clock, busy, ""])
    columns = ["command", "seconds", "of the processor", "heavy imports"]
    if given.record is not None and not given.quick:
        record("listing", columns, rows, figures, given.record)
    finish(columns, rows, figures, given)


if __name__ == "__main__":
    main()
