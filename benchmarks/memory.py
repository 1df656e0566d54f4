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
    python benchmarks/memory.py --zoo --only llava
"""

from __future__ import annotations

import argparse
import json
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report
import zoo
from streaming.samples import given as given_of
from streaming.stored import LAYERS, TOKENS

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
SAMPLES, BATCH, PICTURE = 4, 2, 336
POLL = 0.004
WAYS = ("stream", "resident")
"""Those of the zoo."""
BEGINS, ENDS = "begins\n", "ends\n"


def main() -> None:
    """All cases, or one."""
    more: dict[str, Any] = {
        "only": {"default": "", "help": "one case, or one kind of the zoo"},
        "zoo": {"action": "store_true", "help": "published models in their real shapes"},
        "child": {"default": ""}, "budget": {"default": "{}"},
    }  # fmt: skip
    given = report.arguments(__doc__, **more)
    if given.child:
        print(json.dumps(_observed(given.child, json.loads(given.budget))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows_of_the_zoo(Path(folder), given) if given.zoo else _rows(Path(folder), given)
    figures = {"worst": max(abs(row[-1] - 1) for row in rows), **{row[0]: round(row[-1], 3) for row in rows}}
    report.finish(["case", "file MB", "predicted MB", "measured MB", "ratio"], rows, figures, given)


def _rows(folder: Path, given: argparse.Namespace) -> list[list[Any]]:
    rows = []
    cases = {name: case for name, case in CASES.items() if given.only in ("", name)}
    for name, (dtype, budget) in cases.items():
        home = folder / dtype
        if not home.exists():
            layers = LAYERS[dtype] // (5 if given.quick else 1)
            writer = Path(__file__).parent / "streaming" / "stored.py"
            subprocess.run([sys.executable, str(writer), str(home), dtype, str(layers)], check=True)
        rows.append(_row(name, home, budget))
    return rows


def _rows_of_the_zoo(folder: Path, given: argparse.Namespace) -> list[list[Any]]:
    """One checkpoint at a time, each line said as it comes; a kind that fails is left out, and said at the end."""
    rows, failed = [], []
    names = [name for name in zoo.kinds() if given.only in ("", name)]
    for name in names[: 2 if given.quick else None]:
        home = folder / name
        writer = Path(zoo.__file__).parent / "writing.py"
        subprocess.run([sys.executable, str(writer), name, str(home)], check=True)
        for way in WAYS:
            try:
                rows.append(_row(f"{name} {way}", home, {"residency": way, "kind": name}))
            except SystemExit as error:
                failed.append(str(error))
            else:
                print(*rows[-1], file=sys.stderr, flush=True)
        shutil.rmtree(home)
    if failed or not rows:
        raise SystemExit("\n".join(failed) or f"No kind is called {given.only}. There are {', '.join(zoo.kinds())}.")
    return rows


def _row(name: str, home: Path, budget: dict[str, str]) -> list[Any]:
    """Of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--child", str(home), "--budget", json.dumps(budget)]
    found, measured = _watched(command)
    sizes = [each // 10**6 for each in (found["bytes"], found["predicted"], measured)]
    return [name, *sizes, found["predicted"] / measured]


def _watched(command: list[str]) -> tuple[dict[str, int], int]:
    """What a process finds, and the growth of its anonymous memory to the highest point between what it says before and
    behind its work. Polled from here: on a busy machine a thread of its own misses peaks, for it waits for the GIL."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None or process.stdout.readline() != BEGINS:
            raise SystemExit(f"{' '.join(command)} failed.")
        start = most = anonymous(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], POLL)[0]:
            most = max(most, anonymous(process.pid))
        found = [line for line in process.stdout if line != ENDS]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed.")
    return json.loads(found[-1]), most - start


def _observed(home: str, settings: dict[str, str]) -> dict[str, int]:
    """Loads and observes one checkpoint; its bytes, and those predicted."""
    from nexus_engine_sli.memory.allocating import give_back
    from nexus_specs import Budget, Installed, Sample, Tap, as_shown, content_key
    from nexus_specs.testing import ListSink

    lookup = Installed()
    engine, checkpoint = lookup.make("engine", "sli"), lookup.open(home + settings.pop("source", ""))
    length, side = int(settings.pop("tokens", TOKENS)), int(settings.pop("picture", PICTURE))
    plenty: dict[str, Any] = {"memory": 1 << 40, "scratch": Path(home) / "scratch"}
    together = int(settings.pop("batch", BATCH))
    kind = zoo.kinds()[settings.pop("kind")] if "kind" in settings else None
    precision = kind.dtype if kind else "bfloat16"
    budget = Budget(**plenty | {"micro_batch": together, "precision": precision} | settings)
    takes, gives = checkpoint.blueprint.takes, checkpoint.blueprint.gives
    given = [kind.fields(number) if kind else given_of(takes, gives, number, length, side) for number in range(SAMPLES)]
    worded = "text" in gives and any({"text", "target"} & set(fields) for fields in given)
    samples = [Sample(key=content_key(fields), fields=fields) for fields in given]
    give_back(0)                                            # what opening left free is no part of where it begins
    print(BEGINS, end="", flush=True)
    sys.stdin.readline()                                    # it is seen to begin
    with engine.load(checkpoint, budget) as teacher:
        path = (kind.tap if kind else "") or ("logprob" if worded else "output")
        teacher.observe(samples, [Tap(path=path)], ListSink())
        print(ENDS, end="", flush=True)
    shown = as_shown(checkpoint.blueprint, checkpoint, samples)             # behind it: making tensors takes memory too
    counts = (checkpoint.lengths(samples) if kind else None) or [length]    # type: ignore[attr-defined]
    predicted = engine.estimate(shown, SAMPLES, 0, budget, tokens=sum(counts) / len(counts)).memory
    return {"bytes": checkpoint.blueprint.bytes, "predicted": predicted}


def anonymous(process: int) -> int:
    """Bytes of anonymous memory that a process has in RAM; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0) * 1024


if __name__ == "__main__":
    main()
