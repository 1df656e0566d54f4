"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any


def rows() -> list[dict[str, Any]]:
    """One row: students are one architecture whatever their core is."""
    return [{"architecture": "nexus", "heads": ["NexusModel"], "generates": True, "loader": "nexus"}]
