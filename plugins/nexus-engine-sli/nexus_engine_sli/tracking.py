"""Which memory a waiting forward stands on: every storage that its operations made and that is still alive.

A forward is suspended in the middle of its Python code. What it will need again is not its hidden state alone: masks,
rotary tables, residual sums, encoder states, keys that later layers share. A dispatch mode sees every operation, so it
knows each new storage (not the tensors: views share one), and a weak reference tells whether it lives. Numbers
(segment, place) name storages alike each time the same code runs, which is what a resumed forward is filled by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Number = tuple[int, int]
"""(segment, place): a segment is a stretch between two stops, 0 before the first; -1 are the inputs."""
INPUTS = -1


class Ledger:
    """The storages of one forward."""

    def __init__(self, owners: dict[int, Ledger]) -> None:
        self.owners = owners
        self.segment, self.place = 0, 0
        self.paused = False
        """What is made now is not the forward's own (observations), and leaves with whoever made it."""
        self.weak: dict[Number, int] = {}
        self.numbers: dict[int, Number] = {}
        self.shared: set[Number] = set()
        """Of these another forward, or a table of the model, holds the same storage: they are never emptied."""
        self.fetch: Callable[[], None] | None = None
        """Brings back what was emptied; None while nothing is."""

    def turn(self) -> None:
        """The next segment begins."""
        self.sweep()
        self.segment, self.place = self.segment + 1, 0

    def register(self, storage: torch.UntypedStorage, number: Number | None = None) -> None:
        """A storage is new."""
        if number is None:
            number, self.place = (self.segment, self.place), self.place + 1
        self.weak[number], self.numbers[storage._cdata] = storage._weak_ref(), number
        self.owners[storage._cdata] = self

    def inputs(self, values: Iterable[Any]) -> None:
        """Names the tensors of a batch that no operation made."""
        for place, value in enumerate(values):
            if isinstance(value, Tensor) and value.untyped_storage()._cdata not in self.owners:
                self.register(value.untyped_storage(), (INPUTS, place))

    def sweep(self) -> None:
        """Forgets what is no longer alive."""
        for number in [each for each, weak in self.weak.items() if torch.UntypedStorage._expired(weak)]:
            self._forget(number)

    def live(self) -> list[tuple[Number, torch.UntypedStorage]]:
        """What is alive, by number."""
        self.sweep()
        return [(number, self.storage(number)) for number in sorted(self.weak)]

    def storage(self, number: Number) -> torch.UntypedStorage:
        """A storage that is alive; KeyError for another."""
        found = torch.UntypedStorage._new_with_weak_ptr(self.weak[number])
        if found is None:
            raise KeyError(number)
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        """Forgets everything."""
        for number in list(self.weak):
            self._forget(number)

    def _forget(self, number: Number) -> None:
        weak = self.weak.pop(number)
        if self.owners.get(weak) is self:                   # the weak reference is the storage's own address
            del self.owners[weak]
        self.numbers.pop(weak, None)
        torch.UntypedStorage._free_weak_ref(weak)


class Tracker(TorchDispatchMode):
    """Tells the ledger of the forward that runs what each operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[int, Ledger] = {}
        self.ledger: Ledger | None = None
        """Of the forward that runs; None: nothing is noted."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation as it is."""
        known = set()
        for tensor in _tensors((*args, *(kwargs or {}).values())):
            key = _key(tensor)
            known.add(key)
            owner = self.owners.get(key)
            if owner is not None and owner is not self.ledger:
                _take_over(owner, key)
        output = func(*args, **(kwargs or {}))
        if self.ledger is not None and not self.ledger.paused:
            for tensor in _tensors((output,)):
                key = _key(tensor)
                if key and key not in known and key not in self.owners:
                    self.ledger.register(tensor.untyped_storage())
        return output


def _take_over(owner: Ledger, key: int) -> None:
    """Another forward uses a storage (a table that the model keeps): it is brought back, and stays."""
    if number := owner.numbers.get(key):
        if owner.fetch is not None:
            owner.fetch()
        owner.shared.add(number)


def _key(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):             # sparse and nested tensors have none
        return 0


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
