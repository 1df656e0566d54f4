"""From what a model computes to pieces: one tap for some samples, unpadded, on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Piece, Signal, Sink, Tap, is_output
from nexus_torch.bases import project
from nexus_torch.padding import unpad
from torch import Tensor

from .aligning import by_sample, check_routed, mask_of, positions, sequence
from .deferring import Deferred
from .scores import Scores, logprob, logprob_in_columns, row

NOTHING = torch.empty(0)
EMPTY = {"tokens": torch.empty(0, dtype=torch.long), "spans": torch.empty(0, 2, dtype=torch.long)}
"""Of what a model has not: no positions."""


@dataclass
class Taps:
    """What is asked for, and where it goes."""

    wanted: Sequence[Tap]
    sink: Sink
    vocabulary: int = 0
    """Of the model's answers, so that it is known how many rows of logits are made at a time; 0: unknown."""
    top: Collection[str] = ()
    """Modules of the model whose path has no dot."""
    ran: set[str] = field(default_factory=set)
    """Modules that are tapped and did run."""
    passed: int = 0
    """Samples that came to the end of a forward."""
    resumed: bool = False
    """Whether an earlier process saw some of the forwards."""
    sent: Counter[tuple[object, ...]] = field(default_factory=Counter)
    """How often a piece went out."""
    before: Counter[tuple[object, ...]] = field(default_factory=Counter)
    """Those of them that come once more, since the forwards began again: they are not sent twice."""
    failed: Exception | None = None
    """What the sink raised: no fault of the samples."""

    def __post_init__(self) -> None:
        """NexusError for a module that is named twice, since pieces are known by its path, and for a basis of what is
        no state."""
        paths = [tap.path for tap in self.wanted]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise NexusError(f"'{twice[0]}' is tapped twice. Name it once: as it is, or in a basis.")
        for tap in self.wanted:
            if tap.basis is not None and tap.path != "final" and tap.path not in self.modules:
                raise NexusError(f"'{tap.path}' is no state, so it has no basis. Tap it without one.")

    @property
    def modules(self) -> Mapping[str, Tap]:
        """Taps by module path; what is no module is looked for in the output."""
        named = {path for path in self.top if not is_output(path)}
        return {tap.path: tap for tap in self.wanted if "." in tap.path or tap.path in named}

    @property
    def edited(self) -> tuple[str, ...]:
        """Modules of which somebody wants to know what they give under edits."""
        return tuple(path for path, tap in self.modules.items() if not tap.intact)

    def check_ran(self) -> None:
        """NexusError for a module that no forward came to; not where an earlier process may have seen it run."""
        if self.resumed or not self.passed or self.modules.keys() <= self.ran:
            return
        path = next(each for each in self.modules if each not in self.ran)
        raise NexusError(
            f"'{path}' did not run for any of {self.passed} samples: the model has it, and does not use it for these. "
            "Tap a module that computes with them: a layer, as a rule."
        )

    def state(self, keys: Sequence[str], tap: Tap, output: Any, batch: Batch, edit: str) -> None:
        """The output of a module goes out as soon as it is there, in memory of its own: the model may write into what
        it gave (residual sums in place), and that of a forward that waits may be emptied. A copy costs a thousandth of
        what a layer's products do."""
        made, mask = first_tensor(output), mask_of(batch, tap.path)
        if isinstance(made, Deferred):
            made = made.values()
        tokens = positions(batch, mask, tap.path)
        check_routed(tap.path, made, tokens)
        rows = by_sample(sequence(made, tokens, tap.path, batch), len(keys), tap.path, batch)
        if len(rows) != len(keys):
            raise NexusError(
                f"'{tap.path}' gives {len(rows)} row{'s' * (len(rows) > 1)} for {len(keys)} samples: it is no state of "
                "each of them. Name a layer, or a module inside one that computes with states."
            )
        if isinstance(rows, list):
            self._put(keys, tap, [_own(_in_basis(row, tap), made) for row in rows], edit)
        else:
            self._put(keys, tap, unpad(_own(_in_basis(rows, tap), made), mask), edit)

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

    def again(self) -> None:
        """All forwards begin again."""
        self.before = Counter(self.sent)

    def _put(self, keys: Sequence[str], tap: Tap, values: Sequence[Any], edit: str) -> None:
        name = (*keys, tap.path, edit)
        if self.before[name]:
            self.before[name] -= 1
            return
        self.sent[name] += 1
        if not isinstance(values, Scores):
            values = [value.cpu() for value in values]
        try:
            self.sink.put(Piece(keys=tuple(keys), tap=tap.path, values=values, edit=edit))
        except Exception as error:
            self.failed = error
            raise


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


def _has_vocabulary(signal: Signal) -> bool:
    return "logits" in signal.outputs or (signal.head is not None and signal.hidden is not None)


def _in_columns(signal: Signal) -> Deferred | None:
    """Logits that are still to be made, of a head that comes in blocks."""
    given = signal.outputs.get("logits")
    return given if isinstance(given, Deferred) and given.columns is not None and given.whole is None else None


def _own(found: Tensor, made: Tensor) -> Tensor:
    """In memory of its own; what goes from a device to the host gets that on its way."""
    same = found.untyped_storage().data_ptr() == made.untyped_storage().data_ptr()
    return found.clone() if same and found.device.type == "cpu" else found


def _in_basis(state: Tensor, tap: Tap) -> Tensor:
    if tap.basis is None:
        return state
    if (width := len(tap.basis.directions)) != state.shape[-1]:
        raise NexusError(
            f"'{tap.path}' has {state.shape[-1]} numbers for each token, and its basis is of {width}: it is of another "
            "model, or of another module. Make the profile of this teacher again."
        )
    return project(state.to(tap.basis.mean.device), tap.basis)
