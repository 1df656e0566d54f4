"""Stage "route": one gate row of the router for a text tower, from that tower's own train data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nexus_specs import Context, Estimate
from nexus_torch.files import write_json

from ..router.row import FACTS, ROW, Row, learned, write_row

ENOUGH = 1 << 26
"""Characters from which a row is learned."""


class Route:
    """Kind "stage", name "route". A tower of other media needs no row: its modality decides."""

    def __init__(self, **_: Any) -> None: ...

    def estimate(self, context: Context) -> Estimate:
        """Reading is nearly all of it."""
        return Estimate(seconds=2.0, how="one pass over the train part")

    def run(self, context: Context) -> None:
        """Writes row.safetensors, row.json and a table; for other media the table alone."""
        texts = list(_texts(context))
        if not texts:
            with context.write("table.json") as path:
                write_json(path, _table(context.unit.subject, None))
            return
        row = learned(texts)
        with context.write("row") as folder:
            write_row(row, folder)
        with context.write("table.json") as path:
            write_json(path, _table(context.unit.subject, row))


def _texts(context: Context) -> Iterator[tuple[str, str]]:
    """(source, text) of the teachers' train parts, as much as a row can use."""
    read = 0
    for teacher in sorted(context.teachers):
        for sample in context.samples("train", teacher):
            if read > ENOUGH:
                return
            if "text" in sample.fields and len(sample.fields.keys() & {"image", "audio", "video"}) == 0:
                read += len(sample.fields["text"])
                yield str(sample.fields.get("source", sample.key)), sample.fields["text"]


def _table(tower: str, row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"title": f"Router: {tower}", "columns": ["decides"], "rows": [["modality"]], "notes": []}
    return {
        "title": f"Router: {tower}",
        "columns": ["keyword"],
        "rows": [[word] for word in row.keywords],
        "notes": [
            f"Refuses texts below {row.thresholds[0]:.3f} (64 bytes) to {row.thresholds[1]:.3f} (512 bytes and more) "
            f"nats a gram. Files: {ROW}, {FACTS}."
        ],
    }
