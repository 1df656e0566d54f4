"""The rows of `nexus list datasets` that this plugin brings."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from nexus_torch.hub import sized

READER = "hub"
OPTIONS = ("id", "config", "splits", "columns", "window")
"""Fields of a card that are options of the reader."""


@cache
def cards() -> dict[str, dict[str, Any]]:
    """The cards by name, as they are written."""
    return tomllib.loads((files("nexus_data.hub") / "datasets.toml").read_text(encoding="utf-8"))


def rows() -> list[dict[str, Any]]:
    """A row for each card. `reader` and `options` are what `data:` of a registry would hold for it."""
    return [
        {
            "name": name,
            "id": card["id"],
            "config": card.get("config", ""),
            "splits": list(card["splits"].values()),
            "columns": list(card["columns"]),
            "tags": card["tags"],
            "licence": card["licence"],
            "size": sized(card["bytes"]) if card["bytes"] else "",
            "bytes": card["bytes"],
            "gated": card.get("gated", False),
            "summary": card["summary"],
            "reader": READER,
            "options": {key: card[key] for key in OPTIONS if key in card},
        }
        for name, card in cards().items()
    ]
