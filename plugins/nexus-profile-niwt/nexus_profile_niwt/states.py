"""What every layer of a streamed teacher gave, intact, on the disk while it is ablated: which layers are critical is
known only at the end, and to look at their states afterwards would be to read the checkpoint once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from nexus_specs import Blueprint, Budget, Piece, Sink, Teacher
from nexus_torch.journal import Journal
from torch import Tensor

from .values import Values

FILE, VALUE = "states.journal", "value"
SHARE = 4
"""Part of the disk that may be used: the engine's own files have the rest."""


class States:
    """Keeps states sample by sample in the order in which they come, up to `most` bytes; beyond that, or where the disk
    is full, it lets go of all of them."""

    def __init__(self, folder: Path, layers: Sequence[str], most: int) -> None:
        self.layers, self.most = frozenset(layers), most
        self.journal = Journal(folder / FILE)
        self.full = False

    def put(self, piece: Piece) -> None:
        """Keeps the states of some samples, once."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            name = key, f"{piece.tap}\n{piece.keys[0]}"
            if not self.full and name not in self.journal.places:
                self.full = not self._kept(name, value)
        if self.full:
            self.drop()

    def flush(self) -> None:
        """What was put survives from here on."""
        self.journal.sync()

    def give(self, paths: Sequence[str], keys: Sequence[str], sink: Sink) -> bool:
        """The states of some layers again, as they came; False, and nothing, where not all are here."""
        wanted = {(key, path) for key in keys for path in paths}
        if wanted - {(key, name.partition("\n")[0]) for key, name in self.journal.places}:
            return False
        for piece in self._pieces(frozenset(paths)):
            sink.put(piece)
        sink.flush()
        return True

    def drop(self) -> None:
        """They are not needed any more."""
        self.journal.remove()

    def _kept(self, name: tuple[str, str], value: Tensor) -> bool:
        if self.journal.end + value.nbytes > self.most:
            return False
        try:
            self.journal.append(name, {VALUE: value})
        except OSError:                                     # a full disk, as a rule: then they are looked at again
            return False
        return True

    def _pieces(self, paths: frozenset[str]) -> Iterator[Piece]:
        ordered = sorted(self.journal.places, key=lambda name: self.journal.places[name][0])
        for name, group in groupby(ordered, key=lambda name: name[1]):
            tap = name.partition("\n")[0]
            if tap in paths:
                keys = [key for key, _ in group]
                yield Piece(
                    keys=tuple(keys), tap=tap, values=[self.journal.read((key, name))[VALUE] for key in keys]
                )


class Both:
    """A sink for what ablated forwards give, and for the states of the intact ones."""

    def __init__(self, values: Values, states: States) -> None:
        self.values, self.states, self.durable = values, states, values.durable

    def put(self, piece: Piece) -> None:
        """Where it belongs."""
        if piece.tap not in self.states.layers:
            self.values.put(piece)
        elif not piece.edit:
            self.states.put(piece)

    def forget(self) -> None:
        """Of both, where weights were not those of the checkpoint."""
        self.values.forget()
        self.states.drop()

    def flush(self) -> None:
        """Of both."""
        self.values.flush()
        self.states.flush()


def states_of(teacher: Teacher, layers: Sequence[str], budget: Budget) -> States | None:
    """Where the states of a teacher are kept that is not resident. None for one that is: it is looked at once more."""
    if teacher.module is not None or budget.scratch == Path():
        return None
    return States(budget.scratch, layers, room_for(teacher.blueprint, budget))


def room_for(blueprint: Blueprint, budget: Budget) -> int:
    """Bytes that states may take: less than a second reading."""
    return min(blueprint.bytes, budget.disk // SHARE) if budget.disk else blueprint.bytes
