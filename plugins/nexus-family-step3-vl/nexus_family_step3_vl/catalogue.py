"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

MODEL_TYPE, HEAD = "step_robotics", "StepVLForConditionalGeneration"


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [
        {
            "architecture": MODEL_TYPE,
            "heads": [HEAD],
            "generates": True,
            "loader": "step3-vl",
            "modalities": ["image", "text"],
        }
    ]
