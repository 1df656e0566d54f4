"""Digits: scikit-learn's 1797 handwritten digits as PNG images; a tenth of the transfer part keeps its labels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = {"held_out": 480, "development": 300, "train": 800}  # the teacher has the rest beside
LABELLED = 0.1
Rows = list[dict[str, Any]]
Pixels = NDArray[np.float64]


def parts(seed: int = 1) -> tuple[dict[str, Rows], Rows]:
    """The four parts, and the labels of the transfer part that only its teacher may read."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    cut: dict[str, Rows] = {}
    for part, size in (*SIZES.items(), ("teacher", len(images))):
        chosen, order = order[:size], order[size:]
        cut[part] = [row(int(index), images[index], int(labels[index])) for index in sorted(chosen)]
    hidden = [{"source": item["source"], "label": item["label"]} for item in cut["train"]]
    keep_a_tenth(cut["train"])
    return cut, hidden


def row(index: int, pixels: Pixels, label: int) -> dict[str, Any]:
    """One row of the table; `source` is the row in scikit-learn's."""
    source = f"digits/{index:04d}"
    return {"image": {"bytes": png(pixels.reshape(8, 8)), "path": f"{source}.png"}, "label": label, "source": source}


def png(pixels: Pixels) -> bytes:
    """An 8 x 8 RGB image; scikit-learn's 17 levels are spread over 0 to 255."""
    from PIL import Image

    levels = np.round(pixels * (255 / 16)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(levels).convert("RGB").save(out, "PNG", optimize=True)
    return out.getvalue()


def keep_a_tenth(rows: Rows) -> None:
    """Labels stay on the first tenth of every class: the share is the same for each digit."""
    for digit in range(10):
        mine = [item for item in rows if item["label"] == digit]
        for item in mine[round(len(mine) * LABELLED) :]:
            item["label"] = None
