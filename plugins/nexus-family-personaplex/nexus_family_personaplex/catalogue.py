"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

from nexus_torch.hugging_face.family import row

MODEL_TYPE, HEAD = "personaplex", "PersonaPlexForConditionalGeneration"


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [row("personaplex", MODEL_TYPE, HEAD, ("audio", "text"), generates=True)]
