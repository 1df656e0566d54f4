"""Memory that the engine predicts for a checkpoint against the anonymous memory that it takes, for each way to hold it.

Writes random Llamas (about 650 MB in bfloat16, 1.3 GB in float32; --quick: a fifth), a Qwen2 of which half is a tied
table, a T5, a Wav2Vec2, a Whisper, a DeBERTa, a LLaVA, a Qwen2-VL, a SigLIP of 512 pixels, a VideoMAE, a BERT, a Mamba,
pipelines of diffusers, and random mixtures of experts (Qwen3-MoE in bfloat16 and in FP8, gpt-oss in MXFP4; about 550
MB), and loads and observes each in a process of its own, of which this one polls the anonymous part of its resident
memory (RssAnon) every few milliseconds. Measured is the growth from before loading to the highest point, the making of
tensors of samples included; predicted, for what the samples show.
Target: within 15 % on checkpoints of at least 500 MB.

    python benchmarks/memory.py --json
    python benchmarks/memory.py --only "bfloat16 nf4"

--zoo measures published models instead (`zoo/`: a Qwen2.5, a BERT, a LLaVA, a Whisper, ... in their real shapes, cut in
layers), each streamed and resident, written before and deleted behind: two hours for all; --quick: the first two.

    python benchmarks/memory.py --zoo --json
    python benchmarks/memory.py --zoo --only llava,blip_large

--inspect measures what `nexus inspect --json` says of those of the zoo that see, hear, film or speak (`runs.memory`,
before anybody has a sample) against observing so many of such samples as it says (`runs.sample`, `runs.micro_batch`).

    python benchmarks/memory.py --inspect --json
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report
import zoo
from streaming.stored import LAYERS
from streaming.watching import watched

DRAWN = "#height=256&width=256"
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "float32 resident": ("float32", {"residency": "resident"}),
    "bfloat16 resident": ("bfloat16", {"residency": "resident"}),
    "bfloat16 resident in float32": ("bfloat16", {"residency": "resident", "precision": "float32"}),
    "bfloat16 nf4": ("bfloat16", {"residency": "resident", "quantise": "nf4"}),
    "bfloat16 int8": ("bfloat16", {"residency": "resident", "quantise": "int8"}),
    "float32 nf4": ("float32", {"residency": "resident", "quantise": "nf4"}),
    "float32 int8": ("float32", {"residency": "resident", "quantise": "int8"}),
    "bfloat16 stream in float32": ("bfloat16", {"residency": "stream", "precision": "float32"}),
    "bfloat16 resident, four texts at once":
        ("bfloat16", {"residency": "resident", "tokens": "512", "batch": "4"}),
    "bfloat16 stream nf4": ("bfloat16", {"residency": "stream", "quantise": "nf4"}),
    "bfloat16 offload": ("bfloat16", {"residency": "offload"}),
    "bfloat16 stream": ("bfloat16", {"residency": "stream"}),
    "bfloat16 resident, long texts": ("bfloat16", {"residency": "resident", "tokens": "2000"}),
    "bfloat16 stream, long texts": ("bfloat16", {"residency": "stream", "tokens": "2000"}),
    "bfloat16 stream, four texts at once": ("bfloat16", {"residency": "stream", "tokens": "512", "batch": "4"}),
    "bfloat16 nf4, four texts at once":
        ("bfloat16", {"residency": "resident", "quantise": "nf4", "tokens": "256", "batch": "4"}),
    "tied table resident": ("tied", {"residency": "resident"}),
    "tied table nf4": ("tied", {"residency": "resident", "quantise": "nf4"}),
    "tied table stream": ("tied", {"residency": "stream"}),
    "tied table stream in float32": ("tied", {"residency": "stream", "precision": "float32"}),
    "encoder-decoder resident": ("encoders", {"residency": "resident"}),
    "encoder-decoder stream": ("encoders", {"residency": "stream"}),
    "sound resident": ("sound", {"residency": "resident", "tokens": "500"}),
    "sound stream": ("sound", {"residency": "stream", "tokens": "500"}),
    "spectra of sound resident": ("spectra", {"residency": "resident"}),
    "spectra of sound stream": ("spectra", {"residency": "stream"}),
    "scores of attention kept stream": ("disentangled", {"residency": "stream", "tokens": "500"}),
    "picture and text resident": ("pictures", {"residency": "resident"}),
    "picture and text stream": ("pictures", {"residency": "stream"}),
    "pictures of any size resident": ("grids", {"residency": "resident"}),
    "pictures of any size stream": ("grids", {"residency": "stream"}),
    "pictures of any size, text alone stream": ("grids", {"residency": "stream", "picture": "0"}),
    "pictures alone resident": ("towers", {"residency": "resident"}),
    "pictures alone stream": ("towers", {"residency": "stream"}),
    "photographs alone stream": ("towers", {"residency": "stream", "picture": "3500"}),
    "films stream": ("films", {"residency": "stream"}),
    "scores of every word stream": ("words", {"residency": "stream", "tokens": "500", "batch": "4"}),
    "SD3 stream": ("sd3", {"residency": "stream", "source": DRAWN, "picture": "0"}),
    "SD3 resident": ("sd3", {"residency": "resident", "source": DRAWN, "picture": "0"}),
    "SD3 with a picture stream": ("sd3", {"residency": "stream", "source": DRAWN, "picture": "256"}),
    "SDXL stream": ("sdxl", {"residency": "stream", "source": DRAWN, "picture": "0"}),
    "SDXL resident": ("sdxl", {"residency": "resident", "source": DRAWN, "picture": "0"}),
    "FLUX stream": ("flux", {"residency": "stream", "source": DRAWN, "picture": "0"}),
    "SVD stream": ("svd", {"residency": "stream", "source": DRAWN, "picture": "256"}),
    "state space stream": ("scans", {"residency": "stream", "tokens": "256"}),
    "experts resident": ("experts", {"residency": "resident"}),
    "experts nf4": ("experts", {"residency": "resident", "quantise": "nf4"}),
    "experts int8": ("experts", {"residency": "resident", "quantise": "int8"}),
    "experts offload": ("experts", {"residency": "offload"}),
    "experts stream": ("experts", {"residency": "stream"}),
    "MXFP4 experts resident": ("mxfp4", {"residency": "resident"}),
    "MXFP4 experts offload": ("mxfp4", {"residency": "offload"}),
    "MXFP4 experts stream": ("mxfp4", {"residency": "stream"}),
    "FP8 experts resident": ("fp8", {"residency": "resident"}),
    "FP8 experts stream": ("fp8", {"residency": "stream"}),
}
"""Name -> how the file is stored, and what the budget says; tokens of a text, pixels of a picture's side (0: none) and
samples that pass together, if not the usual, and what the source says besides."""
WAYS = ("stream", "resident")
"""Those of the zoo."""
WORDS = (".texts", ".translating")
"""Modules of it whose kinds take text alone."""


def main() -> None:
    """All cases, or one."""
    more: dict[str, Any] = {
        "only": {"default": "", "help": "one case, or kinds of the zoo, with commas"},
        "zoo": {"action": "store_true", "help": "published models in their real shapes"},
        "inspect": {"action": "store_true", "help": "what `nexus inspect` says of those that take more than text"},
    }
    given = report.arguments(__doc__, **more)
    with tempfile.TemporaryDirectory() as folder:
        of_the_zoo = given.zoo or given.inspect
        rows, failed = _rows_of_the_zoo(Path(folder), given) if of_the_zoo else (_rows(Path(folder), given), [])
    figures = {"worst": max(abs(row[-1] - 1) for row in rows), **{row[0]: round(row[-1], 3) for row in rows}}
    report.finish(["case", "file MB", "predicted MB", "measured MB", "ratio"], rows, figures, given)
    if failed:
        raise SystemExit("\n".join(failed))


def _rows(folder: Path, given: argparse.Namespace) -> list[list[Any]]:
    """Of the cases that are asked for, each line said as it comes."""
    rows = []
    cases = {name: case for name, case in CASES.items() if given.only in ("", name)}
    for name, (dtype, budget) in cases.items():
        home = folder / dtype
        if not home.exists():
            layers = LAYERS[dtype] // (5 if given.quick else 1)
            writer = Path(__file__).parent / "streaming" / "stored.py"
            subprocess.run([sys.executable, str(writer), str(home), dtype, str(layers)], check=True)
        rows.append(_row(name, home, budget))
        print(*rows[-1], file=sys.stderr, flush=True)
    return rows


def _rows_of_the_zoo(folder: Path, given: argparse.Namespace) -> tuple[list[list[Any]], list[str]]:
    """One checkpoint at a time, each line said as it comes; a kind that fails is left out, and said at the end."""
    rows, failed = [], []
    for name in _kinds(given)[: 2 if given.quick else None]:
        home = folder / name
        writer = Path(zoo.__file__).parent / "writing.py"
        subprocess.run([sys.executable, str(writer), name, str(home)], check=True)
        for title, budget, said in _inspected(name, home) if given.inspect else _both_ways(name):
            try:
                rows.append(_row(title, home, budget, said))
            except SystemExit as error:
                failed.append(str(error))
            else:
                print(*rows[-1], file=sys.stderr, flush=True)
        shutil.rmtree(home)
    if not rows:
        raise SystemExit("\n".join(failed) or "Nothing was measured: inspect knows no usual sample of these.")
    return rows, failed


def _kinds(given: argparse.Namespace) -> list[str]:
    """Names of the zoo that are asked for; SystemExit for one that nothing has, or of which inspect says nothing."""
    there = [name for name, kind in zoo.kinds().items()
             if not (given.inspect and kind.make.__module__.endswith(WORDS))]  # fmt: skip
    only = [name for name in given.only.split(",") if name]
    for name in only:
        if name not in there:
            raise SystemExit(f"No kind is called {name}. There are {', '.join(there)}.")
    return [name for name in there if not only or name in only]


def _both_ways(name: str) -> list[tuple[str, dict[str, str], int]]:
    """Of what is streamed, and of what is resident: titles, budgets, and nothing that was said before."""
    return [(f"{name} {way}", {"residency": way, "kind": name}, 0) for way in WAYS]


def _inspected(name: str, home: Path) -> list[tuple[str, dict[str, str], int]]:
    """Of what `nexus inspect` says that it would run, with its bytes; nothing where it knows no usual sample."""
    command = [sys.executable, "-m", "nexus_host", "inspect", str(home), "--json"]
    said = json.loads(subprocess.run(command, cwd=home.parent, capture_output=True, text=True, check=True).stdout)
    runs = said["runs"]
    budget = {key: runs[key] for key in ("residency", "precision", "quantise")} | {"batch": runs["micro_batch"]}
    title = f"{name}, {runs['micro_batch']} x {runs['sample']}, {runs['residency']} in {runs['precision']}"
    return [(title, budget | {"usual": "yes"}, runs["memory"])] if runs["sample"] else []


def _row(name: str, home: Path, budget: dict[str, str], said: int = 0) -> list[Any]:
    """Of the table, measured in a process of its own; `said`: the bytes that were predicted elsewhere."""
    program = Path(__file__).parent / "streaming" / "observed.py"
    found, measured = watched([sys.executable, str(program), str(home), json.dumps(budget)])
    predicted = said or found["predicted"]
    return [name, *(each // 10**6 for each in (found["bytes"], predicted, measured)), predicted / measured]


if __name__ == "__main__":
    main()
