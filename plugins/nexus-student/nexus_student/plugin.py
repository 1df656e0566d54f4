"""What nexus-student offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import (
    StudentComponent,
    hookimpl,
)

OPTIONS = "nexus_student.options"


@hookimpl
def nexus_students() -> Iterable[StudentComponent]:
    """The student."""
    yield StudentComponent(
        name="nexus",
        target="nexus_student.maker:NexusMaker",
        summary="A frozen causal core with LoRA towers for text and gated cross-attention towers for what is perceived",
        options=f"{OPTIONS}:StudentOptions",
        takes=("text",),
    )
