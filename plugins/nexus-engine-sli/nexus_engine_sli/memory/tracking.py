"""Which memory a waiting forward stands on: every storage that its operations made and that is still alive.

A forward is suspended in the middle of its Python code. What it will need again is not its hidden state alone: masks,
rotary tables, residual sums, encoder states, keys that later layers share. A dispatch mode sees every operation, so it
knows each new storage (not the tensors: views share one), and a weak reference tells whether it lives. Numbers
(segment, place) name storages alike each time the same code runs, which is what a resumed forward is filled by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode

from ..outputs.deferring import Deferred

PLAIN = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})
"""Arguments of operations that hold no tensor."""
Number = tuple[int, int]
"""(segment, place): a segment is a stretch between two stops, 0 before the first; -1 are the inputs."""
INPUTS = -1


class Family:
    """Ledgers of forwards that stand on each other's memory: a batch intact, and under every edit."""

    def __init__(self) -> None:
        self.ledgers: list[Ledger] = []
        self.fetch: Callable[[], None] | None = None
        """Brings back what was emptied; None while nothing is."""

    def live(self) -> list[tuple[Ledger, Number, torch.UntypedStorage]]:
        """What is alive of all of them."""
        return [(ledger, number, storage) for ledger in self.ledgers for number, storage in ledger.live()]


class Ledger:
    """The storages of one forward."""

    def __init__(self, owners: dict[int, Ledger], family: Family | None = None) -> None:
        self.owners, self.family = owners, family or Family()
        self.family.ledgers.append(self)
        self.segment, self.place = 0, 0
        self.paused = False
        """What is made now is not the forward's own (observations), and leaves with whoever made it."""
        self.weak: dict[Number, int] = {}
        self.numbers: dict[int, Number] = {}
        self.shared: set[Number] = set()
        """Of these a forward outside the family, or a table of the model, holds the same storage: they are never
        emptied."""

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
        found = self.alive(number)
        if found is None:
            raise KeyError(number)
        return found

    def alive(self, number: Number) -> torch.UntypedStorage | None:
        """A storage, None where it is gone."""
        weak = self.weak.get(number)
        return None if weak is None else torch.UntypedStorage._new_with_weak_ptr(weak)  # type: ignore[no-any-return]

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

    supports_higher_order_operators = True
    """Flex attention is one."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[int, Ledger] = {}
        self.ledger: Ledger | None = None
        """Of the forward that runs; None: nothing is noted."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: nothing is compiled in here, and torch's wrapper against it takes as long as a small operation."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation as it is."""
        ledger, owners = self.ledger, self.owners
        known = _keys(args)
        if kwargs:
            known += _keys(kwargs.values())
        for key in known:
            if (owner := owners.get(key)) is not None and owner is not ledger:
                _take_over(owner, ledger, key)
        output = func(*args, **kwargs) if kwargs else func(*args)
        if ledger is not None and not ledger.paused and not _views(func):
            for tensor in (output,) if type(output) is Tensor else _tensors((output,)):
                key = key_of(tensor)
                if key and key not in known and key not in owners:
                    ledger.register(tensor.untyped_storage())
        return output


@contextmanager
def unnoted(run: Any) -> Iterator[None]:
    """What is computed here is none of the forward's states."""
    ledger = getattr(run, "ledger", None)
    if ledger is None:
        yield
        return
    before, ledger.paused = ledger.paused, True
    try:
        yield
    finally:
        ledger.paused = before


def _take_over(owner: Ledger, user: Ledger | None, key: int) -> None:
    """A forward of another family uses a storage (a table that the model keeps): it is brought back, and stays."""
    if user is not None and user.family is owner.family:
        return
    if number := owner.numbers.get(key):
        if owner.family.fetch is not None:
            owner.family.fetch()
        owner.shared.add(number)


def key_of(tensor: Tensor) -> int:
    """Of its storage; 0 where it has none."""
    if type(tensor) is Deferred:                            # its numbers are not there
        return 0
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):             # sparse and nested tensors have none
        return 0


def _keys(values: Iterable[Any]) -> list[int]:
    """Of the storages of all tensors among arguments: every operation of every forward passes here."""
    found = []
    for value in values:
        kind = type(value)
        if kind is Tensor or kind is Parameter:
            found.append(key_of(value))
        elif kind not in PLAIN:
            found += [key_of(tensor) for tensor in _tensors((value,))]
    return found


@cache
def _views(func: Any) -> bool:
    """Whether an operation gives views of what it is given and nothing else, as its schema says."""
    returns = func._schema.returns if isinstance(func, torch._ops.OpOverload) else ()
    return bool(returns) and all(each.alias_info is not None for each in returns)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        kind = type(value)
        if kind is Tensor or kind is Parameter:             # `isinstance` asks torch's metaclass, for a microsecond
            found.append(value)
        elif kind is list or kind is tuple:
            found += _tensors(value)
        elif kind not in PLAIN and isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
