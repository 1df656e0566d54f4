"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [
        {
            "architecture": "gemma_scope_2",
            "heads": ["SparseAutoencoder"],
            "generates": False,
            "loader": "gemma-scope",
            "modalities": ["activations"],
        }
    ]
