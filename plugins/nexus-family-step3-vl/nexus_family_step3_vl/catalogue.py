"""The row of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

from nexus_torch.hugging_face.family import row

MODEL_TYPE, HEAD = "step_robotics", "StepVLForConditionalGeneration"


def rows() -> list[dict[str, Any]]:
    """One row."""
    return [row("step3-vl", MODEL_TYPE, HEAD, ("image", "text"), generates=True)]
