"""GGUF files of every architecture that transformers has a class for: opened by Nexus and compared with the model.

python benchmarks/gguf_models.py                  all rows, minutes; writes results/gguf.json and the loader's table
python benchmarks/gguf_models.py --quick          ten rows, under a minute; writes nothing
python benchmarks/gguf_models.py --only llama     these rows, with commas; writes nothing

A row is a tiny random transformers model, written to a file by `plugins/nexus-arch-gguf/tests/gguf_files` (names by
gguf's table, values as llama.cpp's converter makes them), opened, filled part by part, and compared: the largest
difference of a weight or an output in F32; in Q8_0 and Q4_0 the largest error of a weight as a share of what its own
block allows (1: half of that block's step, with the rounding of the step itself; a whole step where Q4_0 cuts 8 steps
to 7); and whether the streaming engine, with three different samples under way together, gives the resident one's bits.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import arguments, finish

HERE = Path(__file__).parent
PLUGIN = HERE.parent / "plugins" / "nexus-arch-gguf"
QUICK = ("bert", "deepseek_v3", "gemma3", "gpt2", "llama", "mamba2", "mixtral", "phi3", "qwen3", "t5-v1_1")
EXACT = 1e-6
TABLE = 1 << 10
"""Bytes of an embedding or a head that comes and goes on its own while layers are streamed, as a real model's does."""
KINDS = ("Q8_0", "Q4_0")
COLUMNS = ("row", "architecture", "class", "opened", "exact", "difference", "q8_0", "q4_0", "streams", "reason")


def row(name: str, folder: Path) -> dict[str, Any]:
    """One row. Whatever fails is a reason, never the end of the table."""
    from gguf_files.tiny import MODELS, model_of
    from gguf_files.writing import write
    from nexus_specs import Installed

    found = dict.fromkeys(COLUMNS) | {"row": name, "architecture": MODELS[name][0], "class": "", "reason": ""}
    found |= {"opened": False, "exact": False, "streams": False}
    model = model_of(name)
    try:
        checkpoint = Installed().open(str(write(name, model, folder / f"{name}.gguf")))
        found |= {"opened": True, "class": checkpoint.blueprint.head} | compared(checkpoint, model)
        for kind in KINDS:
            packed = Installed().open(str(write(name, model, folder / f"{name}-{kind}.gguf", kind)))
            found[kind.lower()] = error(packed, model)
        found["streams"] = streams(checkpoint, folder)
    except Exception as error_:
        said = " ".join(str(error_).split()).replace(f"{folder}/", "")
        found["reason"] = f"{type(error_).__name__}: {said[:200]}"
    return found


def compared(checkpoint: Any, model: Any) -> dict[str, Any]:
    """The largest difference of a weight or of the output."""
    from gguf_files.reading import differences, loaded, outputs

    module, tensors = loaded(checkpoint)
    weights = max(differences(model.state_dict(), tensors).values())
    outside = float((outputs(module) - outputs(model)).abs().max())
    return {"difference": max(weights, outside), "exact": max(weights, outside) <= EXACT}


def error(checkpoint: Any, model: Any) -> float:
    """The largest error of a weight, as a share of what its block allows."""
    from gguf_files.reading import errors

    return round(max(errors(checkpoint, model.state_dict()).values()), 4)


def streams(checkpoint: Any, folder: Path) -> bool:
    """Whether the streaming engine gives the bits that the resident one gives, a sample a batch."""
    from unittest import mock

    import nexus_engine_sli.batching
    import nexus_engine_sli.weights.units
    import torch
    from nexus_specs import Budget, Installed, Sample, Tap

    samples = [Sample(key=str(number), fields=fields) for number, fields in enumerate(inputs(checkpoint))]
    path = checkpoint.blueprint.stacks[0].layers[-1]
    kept: dict[str, dict[str, Any]] = {}
    for residency in ("resident", "stream"):
        sink = Kept()
        budget = Budget(scratch=folder, memory=1 << 30, residency=residency, micro_batch=1)
        engine = Installed().make("engine", "sli")
        with (
            mock.patch.object(nexus_engine_sli.batching, "MORE", 1),
            mock.patch.object(nexus_engine_sli.weights.units, "LARGE", TABLE),
            engine.load(checkpoint, budget) as teacher,
        ):
            teacher.observe(samples, [Tap(path=path)], sink)
        kept[residency] = sink.found
    resident, streamed = kept["resident"], kept["stream"]
    return resident.keys() == streamed.keys() and len(streamed) == len(samples) and all(
        torch.equal(value, streamed[key]) for key, value in resident.items()
    )  # fmt: skip


def inputs(checkpoint: Any) -> list[dict[str, Any]]:
    """Three different samples of what a checkpoint takes."""
    import numpy as np

    if checkpoint.blueprint.takes == ("image",):
        source = np.random.default_rng(0)
        return [{"image": source.integers(0, 256, (40, 30, 3), dtype=np.uint8)} for _ in range(3)]
    return [{"text": "the theme"}, {"text": "t h e"}, {"text": "he then"}]


class Kept:
    """A sink that keeps values by sample."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def put(self, piece: Any) -> None:
        """Keeps a piece."""
        self.found |= dict(zip(piece.keys, piece.values, strict=True))

    def flush(self) -> None:
        """Nothing to wait for."""


def figures(table: list[dict[str, Any]]) -> dict[str, int]:
    """How many GGUF architectures open in every row of theirs, are exact, stay within the error, stream."""

    def whole(holds: Any) -> int:
        rows_of: dict[str, list[bool]] = {}
        for each in table:
            rows_of.setdefault(each["architecture"], []).append(bool(holds(each)))
        return sum(all(found) for found in rows_of.values())

    return {
        "architectures": whole(lambda each: each["opened"]),
        "exact": whole(lambda each: each["exact"]),
        "within_q8_0": whole(lambda each: each["q8_0"] is not None and each["q8_0"] <= 1),
        "within_q4_0": whole(lambda each: each["q4_0"] is not None and each["q4_0"] <= 1),
        "streams": whole(lambda each: each["streams"]),
        "rows": len(table),
    }


def main() -> None:
    """Makes the rows that are asked for."""
    given = arguments(__doc__, only={"default": "", "metavar": "ROWS", "help": "rows, with commas"})
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(PLUGIN / "tests"))
    from gguf_files.tiny import MODELS

    names = QUICK if given.quick else [each for each in given.only.split(",") if each] or sorted(MODELS)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            table.append(row(name, Path(folder)))
            print(name, *(table[-1][each] for each in COLUMNS[3:]), file=sys.stderr, flush=True)
    if not given.quick and not given.only:
        text = json.dumps({"figures": figures(table), "rows": table}, indent=1) + "\n"
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "gguf.json").write_text(text, encoding="utf-8")
        (PLUGIN / "nexus_arch_gguf" / "architectures.json").write_text(
            json.dumps([{key: each[key] for key in ("architecture", "streams", "reason")} for each in table], indent=1)
            + "\n", encoding="utf-8",
        )  # fmt: skip
    finish(COLUMNS, [[str(each[key]) for key in COLUMNS] for each in table], figures(table), given)


if __name__ == "__main__":
    main()
