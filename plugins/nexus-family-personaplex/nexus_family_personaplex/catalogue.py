"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

MODEL_TYPE, HEAD = "personaplex", "PersonaPlexForConditionalGeneration"


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [
        {
            "architecture": MODEL_TYPE,
            "heads": [HEAD],
            "generates": True,
            "loader": "personaplex",
            "modalities": ["audio", "text"],
        }
    ]
