"""What every layout has: which stored tensors belong together, and how they become one weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

Settings = Mapping[str, Any]
"""The "quantization_config" of a config.json."""
Stored = Mapping[str, Tensor]
"""The tensors of one weight by role ("weight", "scale", ...)."""


@dataclass(frozen=True)
class Layout:
    """One way to store a weight. A weight is stored so where a key ends with `anchor`: what stands before the anchor,
    with `name` behind it, is the weight's name, and with each role's endings behind it the keys that make it."""

    anchor: str
    name: str
    roles: Mapping[str, tuple[str, ...]]
    """Role -> endings, of which at most one exists."""
    dequantise: Callable[..., Tensor]
    """(name, tensors by role, settings) -> float32 values in the weight's own shape."""
    narrow: bool = False
    """Whether it takes a dtype too, and makes the values in it without all of them in float32."""

    def groups(self, keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """Weight -> role -> stored key."""
        known = frozenset(keys)
        stems = [key.removesuffix(self.anchor) for key in known if key.endswith(self.anchor)]
        found = {stem + self.name: self._parts(stem, known) for stem in stems}
        first = next(iter(self.roles))                      # a scale without its weight is another thing's scale
        return {name: parts for name, parts in found.items() if first in parts}

    def _parts(self, stem: str, known: frozenset[str]) -> dict[str, str]:
        return {
            role: stem + ending for role, endings in self.roles.items() for ending in endings if stem + ending in known
        }


def need(name: str, stored: Stored, *roles: str) -> tuple[Tensor, ...]:
    """The tensors of these roles. NexusError where one is missing."""
    if missing := [role for role in roles if role not in stored]:
        raise NexusError(
            f"The packed weight '{name}' lacks {' and '.join(missing)}. Fetch the checkpoint again: a file is missing."
        )
    return tuple(stored[role] for role in roles)


def check(true: bool, name: str, problem: str) -> None:
    """NexusError with the weight's name unless true."""
    if not true:
        raise NexusError(
            f"The packed weight '{name}' {problem}. The weights do not belong to this config.json: fetch both from "
            "one place."
        )


def whole(settings: Settings, field: str, default: int, low: int = -1, high: int = 1 << 20) -> int:
    """An integer setting within its range."""
    value = settings.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise NexusError(f"quantization_config.{field} is {value!r} in config.json; a whole number of {low} to {high}.")
    return value


WORD = 32
"""Bits of a word of packed numbers."""
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
"""What the sixteen codes of a float of four bits mean."""
BELOW = 2.0**14
"""By what a code of E2M1 is less where its bits stand at their places in a float16."""


def nibbles(packed: Tensor) -> Tensor:
    """Bytes [..., N] -> their low and high four bits in turn [..., 2 N], as int32 that can index."""
    values = packed.contiguous().view(torch.uint8).to(torch.int32)
    return torch.stack((values & 15, values >> 4), dim=-1).flatten(-2)


def four_bits(packed: Tensor) -> Tensor:
    """Bytes [..., N] -> what their low and high four bits mean as E2M1, in turn: float32 [..., 2 N]. Each half of a
    byte is brought to its place in a float16 of its own, both in one int32: ten times as fast as by a table."""
    codes = packed.contiguous().view(torch.uint8).to(torch.int32)
    both = (codes & 0x07) << 9
    both |= (codes & 0x08) << 12
    both |= (codes & 0x70) << 21
    both |= (codes & 0x80) << 24
    return both.view(torch.float16).float().mul_(BELOW)


def fields(words: Tensor, bits: int) -> Tensor:
    """int32 [..., N] -> the numbers of so many bits that lie in each row of words one after the other, lowest first,
    across two words where they do not divide one: int32 [..., 32 N / bits]."""
    mask = (1 << bits) - 1
    if WORD % bits == 0:
        shifts = torch.arange(0, WORD, bits, dtype=torch.int32)
        return ((words[..., None] >> shifts) & mask).flatten(-2)
    starts = torch.arange(words.shape[-1] * WORD // bits) * bits
    at, shift = starts // WORD, starts % WORD
    wide = words.to(torch.int64) & ((1 << WORD) - 1)        # no sign may be shifted in
    after = torch.nn.functional.pad(wide, (0, 1))[..., 1:]
    return (((wide[..., at] >> shift) | (after[..., at] << (WORD - shift))) & mask).int()


def length(numbers: int, bits: int) -> int:
    """Words that so many numbers take."""
    return -(-numbers * bits // WORD)
