"""The rows of `nexus list datasets` that this plugin brings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from nexus_torch.hub import sized

from .columns import SAME

READER = "hub"
UNKNOWN = "not known"
"""The size of a set of which neither bytes nor rows could be confirmed; a plan asks the hub."""
OPTIONS = ("id", "config", "splits", "columns", "window")
"""Fields of a card that are options of the reader."""


@cache
def cards() -> dict[str, dict[str, Any]]:
    """The cards by name, as they are written."""
    return tomllib.loads((files("nexus_data.hub") / "datasets.toml").read_text(encoding="utf-8"))


def size(card: Mapping[str, Any]) -> str:
    """What is downloaded, about; where that is not known, what is counted in it.

    >>> size({"bytes": 44_800_000_000, "bound": "at most"}), size({"bytes": 0, "rows": "5,444 clips"})
    ('at most 44.8 GB', '5,444 clips')
    """
    if card["bytes"]:
        return f"{card.get('bound', '')} {sized(card['bytes'])}".strip()
    return str(card.get("rows", UNKNOWN))


def rows() -> list[dict[str, Any]]:
    """A row for each card. `reader` and `options` are what `data:` of a registry would hold for it."""
    return [
        {
            "name": name,
            "id": card["id"],
            "config": card.get("config", ""),
            "splits": list(card["splits"].values()),
            "columns": [field for field, column in card["columns"].items() if not column.startswith(SAME)],
            "classes": card.get("classes", 0),
            "tags": card["tags"],
            "licence": card["licence"],
            "size": size(card),
            "bytes": card["bytes"],
            "gated": card.get("gated", False),
            "summary": card["summary"],
            "reader": READER,
            "options": {key: card[key] for key in OPTIONS if key in card},
        }
        for name, card in cards().items()
    ]
