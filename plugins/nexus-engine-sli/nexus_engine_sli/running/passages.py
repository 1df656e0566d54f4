"""Units that leave nothing behind but what they give. The first forward that passes a unit is tracked inside; where no
storage outlives that pass but those of the output, and nothing was set on a module or written into a container, the
forwards behind it pass untracked, and the storages of their outputs are named as the first one's were. With small
batches, to track every operation takes longer than many operations.

Nothing may be emptied meanwhile (spilled): only the tracker tells that an operation is about to use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..memory.tracking import key_of
from .forwards import Run, Stop

Passage = tuple[str, int]
"""A unit's path, and which visit of it this is."""


class Passages:
    """What is known of each passage; `order` are the units as they come: one with others inside is always tracked."""

    def __init__(self, order: Iterable[str]) -> None:
        self.divided = {path[:at] for path in order for at, sign in enumerate(path) if sign in ".#"}
        self.places: dict[Passage, tuple[int, ...] | None] = {}
        """Of each tensor of the output its place in the segment, -1 for what was there before; None: it leaves more."""

    def untracked(self, entered: Stop) -> bool:
        """Whether of a unit that a forward is about to enter that is enough."""
        return self.places.get(_passage(entered)) is not None

    def learn(self, run: Run, entered: Stop, stop: Any, *, quiet: bool) -> None:
        """After a pass that was tracked. `quiet`: nothing was set on a module."""
        passage = _passage(entered)
        if passage not in self.places:
            clean = quiet and entered.path not in self.divided and _behind(stop, entered) and not stop.given
            self.places[passage] = _places(run, stop.output) if clean else None

    def name(self, run: Run, entered: Stop, stop: Any, *, quiet: bool) -> None:
        """After one that was not: the storages of its output get their numbers."""
        passage, ledger = _passage(entered), run.ledger
        places, tensors = self.places[passage], leaves(stop.output) if _behind(stop, entered) else None
        if not quiet or tensors is None or places is None or stop.given or not _alike(tensors, places):
            self.places[passage] = None                     # it depends on the batch
            run.wrote = True
            return
        assert ledger is not None
        for tensor, place in zip(tensors, places, strict=True):
            key = key_of(tensor)
            if place >= 0 and key and key not in ledger.owners:
                ledger.register(tensor.untyped_storage(), (ledger.segment, place))


def entering(run: Run) -> bool:
    """Whether a forward waits before a unit and is inside none."""
    return run.stop is not None and run.stop.kind == "before" and run.depth == 0 and run.ledger is not None


def leaves(value: Any) -> list[Tensor] | None:
    """The tensors of an output in order; None where it holds something else than tensors, numbers and words."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return []
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, (tuple, list, Mapping)):
        return None
    found: list[Tensor] = []
    for each in value.values() if isinstance(value, Mapping) else value:
        inner = leaves(each)
        if inner is None:
            return None
        found += inner
    return found


def _places(run: Run, output: Any) -> tuple[int, ...] | None:
    ledger, tensors = run.ledger, leaves(output)
    if ledger is None or tensors is None:
        return None
    numbers = [ledger.numbers.get(key_of(tensor), (-1, -1)) for tensor in tensors]
    places = tuple(place if segment == ledger.segment else -1 for segment, place in numbers)
    alive = {place for (segment, place), _ in ledger.live() if segment == ledger.segment}
    return places if alive <= set(places) else None


def _alike(tensors: Sequence[Tensor], places: Sequence[int]) -> bool:
    """Whether these tensors share storages where the first forward's did: a place names one storage alone."""
    if len(tensors) != len(places):
        return False
    named = {(place, key_of(tensor)) for tensor, place in zip(tensors, places, strict=True) if place >= 0}
    return len(named) == len({place for place, _ in named}) == len({key for _, key in named})


def _behind(stop: Any, entered: Stop) -> bool:
    return isinstance(stop, Stop) and (stop.kind, *_passage(stop)) == ("behind", *_passage(entered))


def _passage(stop: Stop) -> Passage:
    return stop.path, stop.visit
