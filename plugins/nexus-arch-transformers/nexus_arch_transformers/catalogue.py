"""The rows of `nexus list architectures`: transformers' own lists, and what was measured of each (architectures.json).

The table is written by `benchmarks/architectures.py`; nothing here imports torch or transformers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexus_torch.hugging_face.configuration import catalogue

MODALITIES = ("text", "image", "audio", "video", "time")
"""What goes into a model, in the order in which a list shows it."""
TABLE = Path(__file__).parent / "architectures.json"


def rows() -> list[dict[str, Any]]:
    """One row for each model type that transformers lists."""
    return catalogue.rows(results())


def results() -> dict[str, dict[str, Any]]:
    """Model type -> what its heads take together (Whisper's decoder alone takes text, the whole of it sound), whether
    it streams ("verified" where a row of it agreed and streamed), and the reason where no row of it did. Empty where
    the table is missing."""
    try:
        table: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for row in table:
        best = found.setdefault(row["type"], {"takes": [], "streams": "untested", "reason": row["reason"]})
        best["takes"] = [each for each in MODALITIES if each in {*best["takes"], *row["takes"]}]
        if row["agree"] and row["streamed"]:
            best |= {"streams": "verified", "reason": ""}
    return found
