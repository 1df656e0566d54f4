"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

from nexus_torch.hugging_face.family import row


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [row("gemma-scope", "gemma_scope_2", "SparseAutoencoder", ("activations",), generates=False)]
