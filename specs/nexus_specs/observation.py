"""Records of what is observed inside a model: taps, edits, pieces, signals. Shapes: B samples, T tokens, D width,
V vocabulary, R rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Batch = Mapping[str, Any]
"""Keyword arguments of one model's forward."""

SPECIAL_TAPS = ("final", "logits", "logprob", "output", "tokens", "spans")
"""Taps that are no module: the hidden state before the head [T, D], next-token logits [T, V], log-probability of the
observed tokens after the start token [T - 1], the output of a head that is not a vocabulary [C], token ids [T] and
their byte offsets [T, 2]. Any other name of `Signal.outputs` is one too."""
OUTPUTS = ("embedding", "prediction")
"""What loaders call outputs besides: a sample's vector, what a diffusion model predicts."""


def is_output(tap: str) -> bool:
    """Whether a tap is read off the end of a forward, also where a module is called so.

    >>> is_output("logits"), is_output("embedding"), is_output("lm_head")
    (True, True, False)
    """
    return tap in SPECIAL_TAPS or tap in OUTPUTS


@dataclass(frozen=True, kw_only=True)
class Basis:
    """A subspace in which a state is kept: `(h - mean) @ directions / scale`."""

    mean: Tensor
    """[D]"""
    directions: Tensor
    """[D, R], orthonormal."""
    scale: float = 1.0
    """Isotropic: the root of the mean kept eigenvalue, so that a zero predictor has error 1."""


@dataclass(frozen=True, kw_only=True)
class Tap:
    """What to observe: a module path, or one of `SPECIAL_TAPS`. With a basis, [T, D] becomes [T, R] where it arises."""

    path: str
    basis: Basis | None = None
    intact: bool = False
    """Under no edit alone: an engine need not give it under others, and a sink must not mind if it does."""
    optional: bool = False
    """Where the model has nothing of the kind every value is empty, and no error. Not for modules."""


class Edit(Protocol):
    """An ablation. The engine passes every intact batch through a module before any edit of it, so a mean over the
    corpus is known in the same pass, and every edit shares the intact prefix."""

    name: str
    modules: tuple[str, ...]

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        """What a module was given and gave, intact: its first tensor in and out, [B, T, D] as a rule (in and out, since
        what a residual block contributes is the difference), and the mask [B, T] of real tokens, or None."""

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        """The tensor that takes the intact output's place, of the same shape."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One observation: one tap for some samples, under one edit ("" = intact). Idempotent by (key, tap, edit).

    `values` holds one tensor for each key, without padding and on the CPU: [T, D] for states, [T - 1] for "logprob",
    [C] for "output". It may make them as they are read ("logits"): a sink reads them while it takes the piece.
    """

    keys: tuple[str, ...]
    tap: str
    values: Sequence[Any]
    edit: str = ""

    def blocks(self, index: int) -> Iterator[Any]:
        """The value of one key, some rows at a time: next-token logits of a large vocabulary need never be there whole.
        What is small comes in one block."""
        made = getattr(self.values, "blocks", None)
        return iter((self.values[index],)) if made is None else made(index)


class Sink(Protocol):
    """Receives pieces in whatever order the engine produces them: a streamed teacher finishes layer by layer for the
    whole corpus, a resident one batch by batch. After `flush` what was put is durable: a sink that keeps it when the
    process is killed has `durable = True`, and an engine may then go on in the middle of a corpus (what edits have seen
    of modules that all batches passed is gone then). One that has `progress(done, total)` is told how many steps of a
    streamed observation are over, one that has `note(text)` what people should know of it. A durable one has `forget()`
    too: it lets go of all it was given, since weights turned out not to be those of the checkpoint."""

    def put(self, piece: Piece) -> None:
        """Takes a piece."""

    def flush(self) -> None:
        """Makes what was put durable."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a loss sees of one side (student or teacher) for one batch, from shards or live."""

    keys: tuple[str, ...] = ()
    hidden: Any = None
    """Tensor [B, T, D]: final state, before the head."""
    head: Callable[[Any], Any] | None = None
    """[N, D] -> [N, V], so that logits are made in chunks."""
    tokens: Any = None
    """Tensor [B, T]: token ids; position 0 is the start token."""
    mask: Any = None
    """Tensor [B, T] of bool: True where there is a token."""
    spans: Any = None
    """Tensor [B, T, 2]: byte offsets of the tokens in the sample's text."""
    states: Mapping[str, Any] = field(default_factory=dict)
    """Tap -> Tensor [B, T, D] (or [B, T, R] in a basis)."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """By name: "output" [B, C], "label" [B] (-100: unknown), "ids" and "probabilities" [B, T, K] (sparse next-token
    distribution of position t for token t + 1), "embedding" [B, D]."""
    edit: str = ""
