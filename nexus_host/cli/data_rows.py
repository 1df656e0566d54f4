"""Rows of `nexus list datasets` for the data of a registry, with the columns that catalogues have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nexus_specs import locate

from ..words import bytes_text

if TYPE_CHECKING:
    from ..registry.cards import DataCard

UNSAID = "not known"
BLANK: dict[str, Any] = {
    "id": "", "splits": [], "columns": [], "tags": [], "licence": UNSAID, "size": UNSAID, "bytes": 0, "summary": "",
}  # fmt: skip
"""What stands where a catalogue says nothing."""


def own_row(name: str, card: DataCard) -> dict[str, Any]:
    """What a registry says of its data; nothing is read for it but the sizes of files."""
    options = card.options
    parts = options.get("parts") or options.get("splits")
    size = sum(_sizes([options.get("path"), parts]))
    return {
        "dataset": "registry",
        "name": name,
        "id": str(options.get("id") or ""),
        "splits": [str(each) for each in parts] if isinstance(parts, Mapping) else [],
        "columns": [str(each) for each in columns] if isinstance(columns := options.get("columns"), Mapping) else [],
        "tags": list(card.tags),
        "size": bytes_text(size) if size else UNSAID,
        "bytes": size,
        "summary": "Of this registry",
        "reader": card.reader,
    }


def _sizes(places: Any) -> Iterator[int]:
    """Bytes of the files that are named; of what is none here, nothing."""
    if isinstance(places, Mapping):
        places = list(places.values())
    for each in places if isinstance(places, list) else []:
        if isinstance(each, str) and each:
            try:
                yield locate(each).stat().st_size if locate(each).is_file() else 0
            except (OSError, ValueError):
                continue
        else:
            yield from _sizes(each)
