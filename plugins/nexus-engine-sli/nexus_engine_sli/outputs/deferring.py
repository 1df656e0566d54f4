"""Next-token logits that are made some rows at a time: with a large vocabulary those of a batch never exist whole.

    with deferring(module):                 # while a forward runs, the head gives a `Deferred` instead of its product
        scores = module(**batch).logits     # what is done to every number by itself (scales, soft caps, dtypes) waits
        for rows in scores.windows(0, 40):  # the numbers, in order, a window of rows at a time
            ...

Every window has the same number of rows, the last one too (it begins earlier), since a product of few rows or of one is
computed by other kernels, in another order. So the numbers are those of the whole product bit for bit. Whatever else is
done with a `Deferred` makes it whole, so no model has to know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils._pytree import tree_leaves, tree_map

from ..memory.allocating import give_back
from .windows import rows_at_once, windows

aten = torch.ops.aten
POINTWISE = frozenset({
    aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar, aten.add.Tensor, aten.add.Scalar,
    aten.sub.Tensor, aten.sub.Scalar, aten.neg.default, aten.tanh.default, aten.clamp.default, aten._to_copy.default,
    aten.clone.default, aten.detach.default, aten.alias.default,
})  # fmt: skip
"""What is done to every number by itself; with another tensor, only if that is the same for all rows."""
Step = Callable[[Tensor], Tensor]
Further = Callable[[Tensor, int], Tensor]
"""What is done to logits [n, some of V], of which the first is that of a token."""


class _NotMade(Exception):
    """All of the logits is needed, and blocks of the head must be waited for."""


class Deferred(Tensor):
    """Logits [..., V] that nobody has made yet."""

    states: Tensor
    """[N, D]: what goes into the head, all rows after each other."""
    head: Step
    """[n, D] -> [n, V]."""
    steps: tuple[Further, ...]
    whole: Tensor | None
    watch: Callable[[Tensor], None] | None
    """Is shown every window that is made."""
    columns: Callable[[], Iterator[tuple[int, int, Step]]] | None
    """Of a head that comes some rows at a time: first token, how many, [n, D] -> their logits, block by block."""
    last: tuple[int, Tensor | None]
    """The window that was made last, and where it begins: samples share windows."""
    @staticmethod
    def __new__(
        cls: type[Deferred], states: Tensor, head: Step, shape: torch.Size, dtype: torch.dtype,
        steps: tuple[Further, ...] = (),
    ) -> Deferred:  # fmt: skip
        """Of a shape and dtype, as the head would give them."""
        made = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=states.device)
        made.states, made.head, made.steps = states.reshape(-1, states.shape[-1]), head, steps
        made.whole, made.watch, made.last, made.columns = None, None, (-1, None), None
        return made  # type: ignore[no-any-return]

    def windows(self, first: int, last: int) -> Iterator[Tensor]:
        """Rows [first, last) of the logits, one block [n, V] after the other."""
        size = rows_at_once(self.shape[-1])
        for begin, start, stop in windows(first, last, len(self.states), size):
            yield self._window(begin, min(size, len(self.states)))[start:stop]

    def values(self) -> Tensor:
        """All of it, made once."""
        if self.whole is None and self.columns is not None:
            made = self.head(self.states)                   # in one pass over the blocks of the head
            for step in self.steps:
                made = step(made, 0)
            self.whole = made.reshape(self.shape)
        elif self.whole is None:
            self.whole = self._together()
            self.last = (-1, None)
        return self.whole

    def _together(self) -> Tensor:
        """All rows, each window put in its place: they are not there twice."""
        made, at = torch.empty(self.shape, dtype=self.dtype, device=self.states.device), 0
        rows = made.view(-1, self.shape[-1])
        for block in self.windows(0, len(self.states)):
            rows[at : at + len(block)] = block
            at += len(block)
        return made

    @property
    def waits(self) -> bool:
        """Whether to make it is to wait for blocks of the head."""
        return self.whole is None and self.columns is not None

    def by_columns(self) -> Iterator[tuple[int, int, Step]]:
        """Blocks of the vocabulary, for a head that comes in blocks: first token, how many, states -> their logits."""
        assert self.columns is not None
        for first, count, head in self.columns():
            yield first, count, lambda rows, head=head, at=first: reduce(
                lambda made, step: step(made, at), self.steps, head(rows)
            )

    def _window(self, begin: int, size: int) -> Tensor:
        if self.whole is not None or self.columns is not None:
            return self.values().reshape(len(self.states), -1)[begin : begin + size]
        if self.last[0] != begin or self.last[1] is None:
            self.last = (-1, None)                          # before the next one is made
            give_back()
            made = self.head(self.states[begin : begin + size])
            for step in self.steps:
                made = step(made, 0)
            assert made.dtype == self.dtype
            if self.watch is not None:
                self.watch(made)
            self.last = begin, made
        found = self.last[1]
        assert found is not None
        return found

    def _then(self, func: Any, args: Any, kwargs: Any) -> Deferred | None:
        """The same, one step further; None where the step is not one that every row takes alone."""
        if func not in POINTWISE or self.whole is not None:
            return None
        others = [each for each in (*args[1:], *kwargs.values()) if isinstance(each, Tensor)]
        if any(isinstance(each, Deferred) or each.numel() not in (1, *each.shape[-1:]) for each in others):
            return None
        flat = tree_map(lambda each: each.reshape(each.shape[-1:]) if isinstance(each, Tensor) else each, args[1:])
        like = torch.empty(self.shape, dtype=self.dtype, device="meta")
        others = tree_map(lambda each: each.to("meta") if isinstance(each, Tensor) else each, flat)
        probe = func(like, *others, **{name: each for name, each in kwargs.items() if name != "device"})
        if probe.shape != self.shape or torch.device(kwargs.get("device") or self.device) != self.device:
            return None
        steps = (*self.steps, partial(_step, func, flat, kwargs))
        made = Deferred(self.states, self.head, self.shape, probe.dtype, steps)
        made.watch, made.columns = self.watch, self.columns
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What needs all of it waits for the blocks of the head here, where a forward may: inside an operation torch
        has set aside who looks on."""
        kwargs = kwargs or {}
        try:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        except _NotMade:
            whole = tree_map(lambda each: each.values() if isinstance(each, Deferred) else each, (args, kwargs))
            return func(*whole[0], **whole[1])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What is done to every number by itself waits; all else is done to the whole."""
        kwargs = kwargs or {}
        if args and isinstance(args[0], Deferred) and (later := args[0]._then(func, args, kwargs)) is not None:
            return later
        if any(isinstance(each, Deferred) and each.waits for each in tree_leaves((args, kwargs))):
            raise _NotMade
        whole = tree_map(lambda each: each.values() if isinstance(each, Deferred) else each, (args, kwargs))
        found = func(*whole[0], **whole[1])
        return args[0] if args and isinstance(args[0], Deferred) and found is args[0].whole else found

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Deferred(shape={tuple(self.shape)}, dtype={self.dtype})"


def _step(func: Any, others: Any, kwargs: Any, rows: Tensor, at: int) -> Tensor:
    """An operation on some columns of logits, with the part of a vector of all tokens that belongs to them."""
    here = slice(at, at + rows.shape[-1])
    own = tree_map(lambda each: each[here] if isinstance(each, Tensor) and each.numel() > 1 else each, others)
    return func(rows, *own, **kwargs)  # type: ignore[no-any-return]


@contextmanager
def deferring(module: nn.Module, edited: Collection[str] = ()) -> Iterator[None]:
    """While this lasts, the head of a model gives `Deferred` logits where they are too many for one block; not where
    it is edited itself: an edit looks at them when the forward waits, and then nobody can wait for blocks of it."""
    head = head_of(module)
    if head is None or any(module.get_submodule(path) is head for path in edited):
        yield
        return
    native = head.forward

    def forward(states: Tensor) -> Tensor:
        divided = getattr(head.weight, "divided", False)
        if not divided and states.shape[:-1].numel() <= rows_at_once(head.out_features):
            return native(states)
        kind = states.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        shape = torch.Size((*states.shape[:-1], head.out_features))
        made = Deferred(states, _as_now(native, kind, half), shape, half or states.dtype)
        made.columns = partial(_columns, head, kind, half) if divided else None
        return made

    head.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        vars(head).pop("forward", None)


def head_of(module: nn.Module) -> nn.Linear | None:
    """The product that makes logits; None where a model has none, or computes them in its own way."""
    found = None
    with suppress(NotImplementedError, AttributeError):
        found = module.get_output_embeddings()  # type: ignore[operator]
    return found if isinstance(found, nn.Linear) and type(found).forward is nn.Linear.forward else None


def _columns(head: nn.Linear, kind: str, half: torch.dtype | None) -> Iterator[tuple[int, int, Step]]:
    """A head that comes some rows at a time, in the precision in which it was called."""
    weight: Any = head.weight
    for first, rows, bias in weight.columns(head.bias):
        yield first, len(rows), _as_now(partial(linear, weight=rows, bias=bias), kind, half)


def _as_now(native: Step, kind: str, half: torch.dtype | None) -> Step:
    """The head in the precision in which it was called."""

    def run(rows: Tensor) -> Tensor:
        with torch.autocast(kind, half, enabled=half is not None, cache_enabled=False):
            return native(rows)

    return run
