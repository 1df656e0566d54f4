"""What every layout has: which stored tensors belong together, and how they become one weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
WIDE = {2: torch.complex128, 4: torch.float64, 8: torch.float32}
"""Bits of a number -> what is as wide as the float32 of all that lie in a byte."""
AT_ONCE = 1 << 17
"""Values that are unpacked at a time: they stay in a processor's cache, and take little beside the result."""


def at_once(rows: int, columns: int) -> Iterator[slice]:
    """Rows that are unpacked together: about AT_ONCE values."""
    step = max(1, AT_ONCE // max(1, columns))
    return (slice(first, min(rows, first + step)) for first in range(0, rows, step))


def four_bits(packed: Tensor) -> Tensor:
    """Bytes [..., N] -> what their low and high four bits mean as E2M1, in turn: float32 [..., 2 N]."""
    if packed.is_meta:
        return packed.new_empty(*packed.shape[:-1], 2 * packed.shape[-1], dtype=torch.float32)
    return looked_up(packed, 4, E2M1)


def numbers(words: Tensor, bits: int) -> Tensor:
    """`fields` in float32: int32 [..., N] -> [..., 32 N / bits]."""
    return looked_up(words, bits, range(1 << bits)) if bits in WIDE else fields(words, bits).float()


def looked_up(packed: Tensor, bits: int, meaning: Sequence[float], *, high_first: bool = False) -> Tensor:
    """What the numbers of so many bits mean that lie in bytes, lowest first: float32 [..., 8 / bits for each byte]. All
    of a byte are looked up at once, as one wide number: many times as fast as one by one."""
    codes = packed.contiguous().view(torch.uint8).to(torch.int32)
    table = _table(bits, tuple(meaning), high_first)
    return table.index_select(0, codes.flatten()).view(torch.float32).view(*codes.shape[:-1], -1)


@lru_cache(maxsize=16)
def _table(bits: int, meaning: tuple[float, ...], high_first: bool) -> Tensor:
    """What each of the 256 bytes means [256], as one number for all that lie in it."""
    shifts = torch.arange(0, 8, bits)
    codes = (torch.arange(256)[:, None] >> (shifts.flip(0) if high_first else shifts)) & ((1 << bits) - 1)
    return torch.tensor(meaning, dtype=torch.float32)[codes].view(WIDE[bits]).flatten()


def scaled(values: Tensor, zeros: Tensor | None, scales: Tensor, groups: Tensor) -> Tensor:
    """(Values [O, I] - zeros [O, G]) * scales [O, G] in place, by the group of each input [I]; all float32."""
    count = scales.shape[1]
    even = in_turn(groups, count)
    view = values.unflatten(1, (count, -1)) if even else values
    for change, each in ((view.sub_, zeros), (view.mul_, scales)):
        if each is not None:
            change(each[..., None] if even else each.index_select(1, groups))
    return values


def in_turn(groups: Tensor, count: int) -> bool:
    """Whether so many groups of one size follow each other [I]."""
    size = groups.numel() // max(1, count)
    return size > 0 and bool(torch.equal(groups, torch.arange(size * count) // size))


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
