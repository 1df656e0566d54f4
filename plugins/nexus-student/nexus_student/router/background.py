"""The fixed background: how often each counter is hit in writing of many sorts. It never changes, so a row that is
learned against it depends on its own tower's data alone.

`background.safetensors` was made once, by `main([FILE, …])`, from Shakespeare's plays
(public domain), GSM8K, HumanEval (MIT), AQuA, Self-Instruct's seeds, BFCL and synthetic conversations (Apache-2.0):
each sort counts alike, and a twentieth is spread evenly. It holds 4096 numbers; no text can be read from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from .features import SIZE, Vector, gathered

FILE = Path(__file__).with_name("background.safetensors")
EVEN = 0.05
"""Share that is spread evenly, so that nothing is impossible."""


@cache
def background() -> Vector:
    """The probability of each counter: float32 [4096], sums to 1, nowhere zero."""
    return load(FILE.read_bytes())["background"]


def made(sorts: Sequence[Iterable[str]]) -> NDArray[np.float32]:
    """A background from texts of several sorts, each counting alike."""
    shares = [total / total.sum() for total in map(gathered, sorts)]
    return (np.mean(shares, 0) * (1 - EVEN) + EVEN / SIZE).astype(np.float32)


def texts(path: Path) -> Iterator[str]:
    """The texts of a file: a .jsonl's strings line by line, else the whole."""
    if path.suffix != ".jsonl":
        yield path.read_text(encoding="utf-8")
        return
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        yield "\n".join(_strings(json.loads(line)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def main(paths: Sequence[str]) -> None:
    """Writes the background from one file a sort."""
    FILE.write_bytes(save({"background": made([list(texts(Path(path))) for path in paths])}))
