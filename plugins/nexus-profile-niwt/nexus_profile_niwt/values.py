"""What ablated forwards gave, by edit; in scratch too, so that a profile of a large teacher that was killed goes on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nexus_specs import Piece
from nexus_torch.journal import Journal

FILE, VALUE = "ablated.journal", "value"


class Values:
    """A sink that keeps everything. With a folder it is durable: an engine may go on in the middle of a corpus (the
    means of layers that all batches passed are not needed any more: those ablations are on their way)."""

    def __init__(self, folder: Path = Path()) -> None:
        self.found: dict[str, dict[tuple[str, str], Any]] = {}
        self.durable = folder != Path()
        self.journal = Journal(folder / FILE) if self.durable else None
        for key, name in list(self.journal.places) if self.journal else ():
            edit, _, tap = name.partition("\n")
            self.found.setdefault(edit, {})[key, tap] = self.journal.read((key, name))[VALUE]  # type: ignore[union-attr]

    def put(self, piece: Piece) -> None:
        """Keeps the values."""
        held = self.found.setdefault(piece.edit, {})
        for key, value in zip(piece.keys, piece.values, strict=True):
            if self.journal and (key, piece.tap) not in held:
                self.journal.append((key, f"{piece.edit}\n{piece.tap}"), {VALUE: value})
            held[key, piece.tap] = value

    def flush(self) -> None:
        """What was put survives from here on."""
        if self.journal:
            self.journal.sync()

    def forget(self) -> None:
        """Weights were used that are not those of the checkpoint: what they gave goes, on the disk too."""
        self.found = {}
        if self.journal:
            self.journal.remove()

    def whole(self, keys: Iterable[str], taps: Iterable[str], edits: Iterable[str]) -> bool:
        """Whether everything is there already."""
        wanted = [(key, tap) for key in keys for tap in taps]
        return all(self.found.get(edit, {}).keys() >= set(wanted) for edit in edits)

    def of(self, edit: str) -> dict[tuple[str, str], Any]:
        """What was seen under an edit."""
        return self.found[edit]
