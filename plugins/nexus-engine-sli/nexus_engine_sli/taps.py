"""From what a model computes to pieces: one tap for some samples, unpadded, on the CPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Piece, Signal, Sink, Tap, is_output
from nexus_torch.bases import project
from nexus_torch.padding import unpad
from torch import Tensor

from .deferring import Deferred
from .scores import Scores, logprob, logprob_in_columns, row

NOTHING = torch.empty(0)
EMPTY = {"tokens": torch.empty(0, dtype=torch.long), "spans": torch.empty(0, 2, dtype=torch.long)}
"""Of what a model has not: no positions."""


@dataclass(frozen=True)
class Taps:
    """What is asked for, and where it goes."""

    wanted: Sequence[Tap]
    sink: Sink
    vocabulary: int = 0
    """Of the model's answers, so that it is known how many rows of logits are made at a time; 0: unknown."""
    top: Collection[str] = ()
    """Modules of the model whose path has no dot."""

    @property
    def modules(self) -> Mapping[str, Tap]:
        """Taps by module path; what is no module is looked for in the output."""
        named = {path for path in self.top if not is_output(path)}
        return {tap.path: tap for tap in self.wanted if "." in tap.path or tap.path in named}

    def state(self, keys: Sequence[str], tap: Tap, output: Any, batch: Batch, edit: str) -> None:
        """The output of a module goes out as soon as it is there, in memory of its own: the model may write into what
        it gave (residual sums in place), and that of a forward that waits may be emptied. A copy costs a thousandth of
        what a layer's products do."""
        made, mask = first_tensor(output), mask_of(batch, tap.path)
        if isinstance(made, Deferred):
            made = made.values()
        rows = by_sample(sequence(made, positions(batch, mask)), len(keys))
        if len(rows) != len(keys):
            raise NexusError(
                f"'{tap.path}' gives {len(rows)} row{'s' * (len(rows) > 1)} for {len(keys)} samples: it is no state of "
                "each of them. Name a layer, or a module inside one that computes with states."
            )
        found = _in_basis(rows, tap)
        own = found.clone() if found.device.type == "cpu" and _same_memory(found, made) else found
        self._put(keys, tap, unpad(own, mask), edit)

    def signal(self, keys: Sequence[str], signal: Signal, edit: str) -> None:
        """All that is read off the end of a forward. Logits of a head that comes in blocks are made whole if they are
        asked for: it comes once."""
        logits = _in_columns(signal)
        if logits is not None and any(tap.path == "logits" for tap in self.wanted):
            logits.values()
        if self.wanted and all(tap.optional and self._lacks(signal, tap, len(keys)) for tap in self.wanted):
            raise absent(signal, " or ".join(tap.path for tap in self.wanted))
        for tap in self.wanted:
            if tap.path not in self.modules and not (edit and tap.intact):
                self._put(keys, tap, special(signal, tap, len(keys), self.vocabulary), edit)

    def _lacks(self, signal: Signal, tap: Tap, count: int) -> bool:
        return _read_off(signal, tap, count, self.vocabulary) is None

    def _put(self, keys: Sequence[str], tap: Tap, values: Sequence[Any], edit: str) -> None:
        if not isinstance(values, Scores):
            values = [value.cpu() for value in values]
        self.sink.put(Piece(keys=tuple(keys), tap=tap.path, values=values, edit=edit))


def special(signal: Signal, tap: Tap, count: int, vocabulary: int = 0) -> Sequence[Any]:
    """The values of a tap that is no module, for each sample; of an optional one that the model has not, empty ones.
    NexusError where it has nothing of the kind."""
    found = _read_off(signal, tap, count, vocabulary)
    if found is None and tap.optional:
        return [EMPTY.get(tap.path, NOTHING)] * count
    if found is None:
        raise absent(signal, tap.path)
    return found


def absent(signal: Signal, asked: str) -> NexusError:
    """What to say where a model has nothing of the kind."""
    has = sorted(set(signal.outputs) | ({"final"} if signal.hidden is not None else set()))
    return NexusError(
        f"This model has no '{asked}' to observe. It has: {', '.join(has) or 'nothing'}, and the outputs of its "
        "modules by their path. A metric or loss that needs something else does not fit this teacher."
    )


def _read_off(signal: Signal, tap: Tap, count: int, vocabulary: int) -> Sequence[Any] | None:
    if tap.path == "final" and signal.hidden is not None:
        return unpad(_in_basis(signal.hidden, tap), signal.mask)
    if tap.path == "logits" and _has_vocabulary(signal):
        return Scores(signal, count, vocabulary)
    if tap.path == "logprob" and _has_vocabulary(signal) and signal.tokens is not None:
        if (columns := _in_columns(signal)) is not None:
            return logprob_in_columns(columns, signal)
        scores = Scores(signal, count, vocabulary)
        return [logprob(scores.made(at), row(signal.tokens, signal.mask, at)) for at in range(count)]
    if tap.path in ("tokens", "spans") and (found := getattr(signal, tap.path)) is not None:
        return unpad(found, signal.mask)
    if tap.path in signal.outputs and tap.path != "logits":
        return list(signal.outputs[tap.path])
    return None


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
    """Likewise, None where there is none. A tuple in a tuple is looked into last (PVT v2 gives its state, height and
    width as `((state,), height, width)`)."""
    if isinstance(value, Tensor):
        return value
    items = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    found = next((item for item in items if isinstance(item, Tensor)), None)
    inner = (any_tensor(item) for item in items if isinstance(item, (tuple, list)))
    return found if found is not None else next((each for each in inner if each is not None), None)


def with_first(value: Any, tensor: Tensor) -> Any:
    """The same structure with another first tensor."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, Mapping):
        name = next(name for name, item in value.items() if isinstance(item, Tensor))
        return type(value)(**{**value, name: tensor})
    place = next((place for place, item in enumerate(value) if isinstance(item, Tensor)), None)
    if place is None:
        place = next(place for place, item in enumerate(value) if any_tensor(item) is not None)
    return type(value)([*value[:place], with_first(value[place], tensor), *value[place + 1 :]])


def positions(batch: Batch, mask: Tensor | None) -> tuple[int, int] | None:
    """(B, T) of a batch of tokens, by its mask, or where there is none by the tokens themselves; None for media."""
    tokens = batch.get("input_ids") if mask is None else mask
    return (tokens.shape[0], tokens.shape[1]) if isinstance(tokens, Tensor) and tokens.ndim == 2 else None


def sequence(state: Tensor, tokens: tuple[int, int] | None = None) -> Tensor:
    """A state as [B, T, D]: feature maps [B, C, H, W] (of films [B, C, F, H, W]) position by position, vectors [B, D]
    as one position; of `tokens` (B, T) heads or streams [B, T, H, D] beside each other, as well those that come first
    ([H, B, T, D]: Gemma 3n); what a model keeps as [T, B, D] (XLNet) is turned, too."""
    if state.ndim == 4 and tokens == state.shape[:2]:
        return state.flatten(2)
    if state.ndim == 4 and tokens == state.shape[1:3]:
        return state.permute(1, 2, 0, 3).flatten(2)
    if state.ndim == 3 and tokens and tokens[0] != tokens[1] and tokens == state.shape[1::-1]:
        return state.transpose(0, 1)
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


def _in_columns(signal: Signal) -> Deferred | None:
    """Logits that are still to be made, of a head that comes in blocks."""
    given = signal.outputs.get("logits")
    return given if isinstance(given, Deferred) and given.columns is not None and given.whole is None else None


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _in_basis(state: Tensor, tap: Tap) -> Tensor:
    return state if tap.basis is None else project(state.to(tap.basis.mean.device), tap.basis)
