"""From what a model computes to pieces: one tap for some samples, unpadded, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from nexus_specs import SPECIAL_TAPS, Batch, NexusError, Piece, Signal, Sink, Tap
from nexus_torch.bases import project
from nexus_torch.padding import unpad
from torch import Tensor


class Lazy(Sequence[Any]):
    """Values that are made when they are read: logits of one sample at a time."""

    def __init__(self, make: Callable[[int], Any], length: int) -> None:
        self.make, self.length = make, length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The value at a place; IndexError past the end."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.make(index % self.length)


@dataclass(frozen=True)
class Taps:
    """What is asked for, and where it goes."""

    wanted: Sequence[Tap]
    sink: Sink
    copy: bool = False
    """Whether pieces get memory of their own, since that of a waiting forward may be emptied."""

    @property
    def modules(self) -> Mapping[str, Tap]:
        """Taps by module path; what is no module is looked for in the output."""
        return {tap.path: tap for tap in self.wanted if "." in tap.path and tap.path not in SPECIAL_TAPS}

    def state(self, keys: Sequence[str], tap: Tap, output: Any, mask: Tensor | None, edit: str) -> None:
        """The output of a module goes out as soon as it is there."""
        found = by_sample(sequence(first_tensor(output)), len(keys))
        self._put(keys, tap, unpad(_in_basis(found, tap), mask), edit)

    def signal(self, keys: Sequence[str], signal: Signal, edit: str) -> None:
        """All that is read off the end of a forward."""
        for tap in self.wanted:
            if tap.path not in self.modules:
                self._put(keys, tap, special(signal, tap, len(keys)), edit)

    def _put(self, keys: Sequence[str], tap: Tap, values: Sequence[Any], edit: str) -> None:
        if not isinstance(values, Lazy):
            values = [value.clone() if self.copy and value.device.type == "cpu" else value.cpu() for value in values]
        self.sink.put(Piece(keys=tuple(keys), tap=tap.path, values=values, edit=edit))


def special(signal: Signal, tap: Tap, count: int) -> Sequence[Any]:
    """The values of a tap that is no module, for each sample. NexusError where the model has nothing of the kind."""
    if tap.path == "final" and signal.hidden is not None:
        return unpad(_in_basis(signal.hidden, tap), signal.mask)
    if tap.path == "logits" and _has_vocabulary(signal):
        return Lazy(lambda index: logits(signal, index).cpu(), count)
    if tap.path == "logprob" and _has_vocabulary(signal):
        return [logprob(logits(signal, index), _row(signal.tokens, signal.mask, index)) for index in range(count)]
    if tap.path in ("tokens", "spans") and (found := getattr(signal, tap.path)) is not None:
        return unpad(found, signal.mask)
    if tap.path in signal.outputs and tap.path != "logits":
        return list(signal.outputs[tap.path])
    has = sorted(set(signal.outputs) | ({"final"} if signal.hidden is not None else set()))
    raise NexusError(
        f"This model has no '{tap.path}' to observe. It has: {', '.join(has) or 'nothing'}, and the outputs of its "
        "modules by their path. A metric or loss that needs something else does not fit this teacher."
    )


def logits(signal: Signal, index: int) -> Tensor:
    """Next-token logits of one sample: [T, V]."""
    if "logits" in signal.outputs:
        return _row(signal.outputs["logits"], signal.mask, index)
    assert signal.head is not None
    return signal.head(_row(signal.hidden, signal.mask, index))


def logprob(scores: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each token after the first, given those before it: [T, V], [T] -> [T - 1]."""
    scores = scores[: len(tokens) - 1].float()
    return scores.gather(-1, tokens[1:, None])[:, 0] - scores.logsumexp(-1)


def mask_of(batch: Batch, path: str = "") -> Tensor | None:
    """The mask [B, T] of real tokens of a batch, if it has one; inside a module that has another (a decoder beside an
    encoder: `side["masks"]`, by its path), that one."""
    side = getattr(batch, "side", {})
    own = (each for place, each in side.get("masks", {}).items() if f"{path}.".startswith(f"{place}."))
    mask = next(own, side.get("mask", batch.get("attention_mask")))
    return mask.bool() if isinstance(mask, Tensor) and mask.ndim == 2 else None


def first_tensor(value: Any) -> Tensor:
    """The tensor that a module passes on: itself, or the first in a tuple or an output object."""
    found = any_tensor(value)
    if found is None:
        raise NexusError("A module that is observed or edited gave no tensor. Name another one: a layer, as a rule.")
    return found


def any_tensor(value: Any) -> Tensor | None:
    """Likewise, None where there is none."""
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return next((item for item in items if isinstance(item, Tensor)), None)


def with_first(value: Any, tensor: Tensor) -> Any:
    """The same structure with another first tensor."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, Mapping):
        name = next(name for name, item in value.items() if isinstance(item, Tensor))
        return type(value)(**{**value, name: tensor})
    place = next(place for place, item in enumerate(value) if isinstance(item, Tensor))
    return type(value)([*value[:place], tensor, *value[place + 1 :]])


def sequence(state: Tensor) -> Tensor:
    """A state as [B, T, D]: feature maps [B, C, H, W] (of films [B, C, F, H, W]) position by position, vectors [B, D]
    as one position."""
    if state.ndim in (4, 5):
        return state.flatten(2).transpose(1, 2)
    return state[:, None] if state.ndim == 2 else state


def by_sample(state: Tensor, samples: int) -> Tensor:
    """Several rows for each sample (timesteps of a diffusion model, frames of a film), those of one sample beside each
    other, as one longer sequence: [B * N, T, D] -> [B, N * T, D]."""
    if state.ndim != 3 or len(state) <= samples or len(state) % samples:
        return state
    return state.unflatten(0, (samples, -1)).flatten(1, 2)


def _has_vocabulary(signal: Signal) -> bool:
    return "logits" in signal.outputs or (signal.head is not None and signal.hidden is not None)


def _row(values: Tensor, mask: Tensor | None, index: int) -> Tensor:
    return values[index] if mask is None else values[index, : int(mask[index].sum())]


def _in_basis(state: Tensor, tap: Tap) -> Tensor:
    return state if tap.basis is None else project(state.to(tap.basis.mean.device), tap.basis)
