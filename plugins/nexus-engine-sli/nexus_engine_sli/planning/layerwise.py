"""Anonymous memory that a checkpoint takes whose layers come and go, predicted from its blueprint: what stays, and the
most of what runs with what arrives meanwhile, or stands around a table of words. Bytes. See `predicting`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from nexus_specs import Blueprint, Budget
from nexus_torch.files import DTYPES

from ..weights.quantising import AT_ONCE, How, bytes_of
from . import pieces, working
from .apart import apart, behind, place
from .moving import moved
from .predicting import (
    LASTING,
    LIBRARY,
    MATRICES,
    QUANTISING,
    ROUNDING,
    RUNTIME,
    activations,
    alike,
    as_stored,
    buffers,
    kernels,
    pixels,
    unfilled,
    unpacking,
    weight_dtype,
)

NEARLY = 1.01
"""What is stored beside tables of words and layers (a norm) is no more than this."""


def layerwise(blueprint: Blueprint, budget: Budget, tokens: float = 0.0, most: float = math.inf) -> int:
    """Most bytes that running a layer at a time takes: what stays, and the most that comes and goes at one time. Where
    what runs and what arrives may take `most`, what is too large for it comes in parts (`units`)."""
    blueprint = pieces.widened(blueprint, weight_dtype(blueprint, budget))
    every, blueprint = blueprint, moved(blueprint, most)
    passing = _Passing(blueprint, budget, tokens, most)
    staying = passing.words.staying * passing.dtype.itemsize
    early = 0 if pieces.heads(blueprint) else pixels(blueprint)     # words are looked up before products are made
    most_of_both = round(max(passing.layer_and_next(), passing.around_words() - early))
    if blueprint.held:
        most_of_both = max(most_of_both, passing.beside_layers())
    beside = buffers(blueprint, passing.dtype)
    found = staying + beside + kernels(blueprint, passing.dtype) + pixels(blueprint) + most_of_both
    if pieces.by_rows(blueprint) and not budget.quantise:
        found += RUNTIME // 2                               # what unpacks takes
    elif budget.quantise or (blueprint.quantisation and pieces.fused(blueprint)):
        found += RUNTIME
    elif blueprint.scanned and not blueprint.chunk:
        found += RUNTIME // 2                               # kernels of its convolution
    if sound := working.heard(blueprint, budget, passing.dtype, tokens):
        kept = pieces.largest(blueprint).stored if blueprint.passing else 0     # what it was read into is kept
        kept *= 0 if blueprint is not every else 1 if blueprint.frames else 2               # or two layers are there
        found = max(found, staying + min(RUNTIME, RUNTIME // 2 + beside) + sound + kept)
    return max(found, passing.at_first())


def offloaded(blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> int:
    """Most bytes that weights in RAM take where they run a layer at a time on the processor: all of them as stored, and
    what a layer takes that is made of them. One that runs as it is stored is not made."""
    dtype = weight_dtype(blueprint, budget)
    blueprint = pieces.widened(blueprint, dtype)
    stored = blueprint.bytes + unfilled(blueprint)
    if as_stored(blueprint, dtype) and not budget.quantise and not pieces.fused(blueprint):
        return stored + activations(blueprint, budget, dtype, tokens)
    arriving = max(pieces.largest(blueprint).stored, pieces.table(blueprint).stored)          # which is there already
    return stored - arriving + layerwise(blueprint, budget, tokens)


class _Words(NamedTuple):
    """What becomes of tables of words."""

    staying: int
    """Parameters of all that stays: what belongs to no layer, but for tables that come and go."""
    later: int
    """Bytes of it that are not there before what is heard has passed its tower."""
    table: pieces.Piece
    """A table that comes and goes; of one that stays, what reading it takes."""


@dataclass(frozen=True)
class _Passing:
    """Layers that come one by one."""

    blueprint: Blueprint
    budget: Budget
    tokens: float
    most: float

    def at_first(self) -> int:
        """What stays is made before any layer, and is there in both forms while the first one arrives."""
        blueprint, words = self.blueprint, self.words
        if self.plain or blueprint.quantisation or not words.staying:
            return 0
        share = words.staying / max(pieces.rest(blueprint), 1)
        read = round(share * pieces.rest_stored(blueprint)) + pieces.first(blueprint) // 2 + self.reading
        return words.staying * self.dtype.itemsize + buffers(blueprint, self.dtype) + read

    def layer_and_next(self) -> float:
        """One layer runs, with a batch's tensors, and another arrives. Of what reads, and of what sees."""
        after = pieces.heads(self.blueprint) and (self.words.table.parameters or self.words.later)
        table = pieces.last(self.blueprint) if self.words.table.parameters else self.words.table
        arriving = max(self.coming, table.stored if after else 0) + self.reading
        words = self.words.later if self.plain else self.words.table.stored + self.reading
        ways = (                                            # words arrive while the last layer of a tower runs
            self._running(each, min(most, self._behind(each))) - self._later(each)
            for each in apart(self.blueprint)
            for most in (arriving, 0 if each.gives or not self.words.later else words)
        )
        return max(ways, default=0)

    def _later(self, each: Blueprint) -> int:
        """Bytes of words that stay, but are not there yet while a stack runs."""
        if not self.blueprint.held or len(each.stacks) != 1:
            return 0 if each.gives else self.words.later
        at, width = place(self.blueprint, each.stacks[0]), self.dtype.itemsize
        waiting = [piece.parameters * width for other, piece in pieces.run(self.blueprint)
                   if other.shared and other.behind > at]  # fmt: skip
        return 0 if self.words.table.parameters else sum(waiting)

    def beside_layers(self) -> int:
        """Tensors of samples are made before anything runs, as is what comes before any layer."""
        before = replace(self.blueprint, held={"": self.blueprint.held.get("", (0, 0))})
        runs = working.held(before, self.budget, self.dtype)
        return self.reading + max(runs, working.made(self.blueprint, self.budget))

    def _running(self, each: Blueprint, arriving: int) -> float:
        """One is made, unpacked and packed before the next one is sent for."""
        layer, made = working.streamed(each, self.budget, self.dtype, self.tokens).layer, self._made(each)
        unpacked = pieces.met(self.blueprint).parameters // MATRICES * self.dtype.itemsize
        beside = max(0, self.unpacking - unpacked)          # what is unpacked is not there yet
        if not self.budget.quantise:
            unpacks = min(made + self.coming + self.reading, self.most) + beside if beside else 0
            return max(unpacks, min(made + arriving, self.most) + layer)
        stored = 0 if as_stored(self.blueprint, self.dtype) else self.coming
        packing = min(made + stored + self.reading, self.most) + max(beside, self.packing)
        first = LIBRARY - LASTING - RUNTIME // 2            # as it is imported no product was made
        return max(first + packing, min(self.packed(each) + arriving, self.most) + layer)

    def _behind(self, each: Blueprint) -> float:
        """What arrives at most while a stack runs, where that is known of it alone."""
        alone = self.blueprint.held and len(each.stacks) == 1 and "text" not in each.takes
        return behind(self.blueprint, each.stacks[0]) + self.reading if alone else math.inf

    def _made(self, each: Blueprint) -> int:
        """A layer, in the dtype of weights."""
        return round(pieces.met(each).parameters * pieces.making(self.blueprint) * self.dtype.itemsize)

    def packed(self, each: Blueprint) -> int:
        """A layer once it is quantised."""
        how: How = "nf4" if self.budget.quantise == "nf4" else "int8"
        return bytes_of(pieces.met(each).parameters, max(pieces.width_of(each), 1), how)

    def around_words(self) -> float:
        """A table of words is there: behind it the head's scores are made, and what is kept to read into is there, or
        it is only looked up, and nothing arrives meanwhile. One that stays is made before any layer."""
        blueprint, layer, table = self.blueprint, pieces.met(self.blueprint), self.words.table
        if blueprint.held and not table.parameters and not pieces.reads_text(blueprint):
            return 0                                        # there is none: samples showed all that runs
        spare = 0 if table.parameters else min(self.coming, layer.parameters * self.dtype.itemsize)
        rows = pieces.by_rows(blueprint)                    # what is unpacked is gone before scores are made
        made = 0 if self.plain or rows else table.stored    # it is there in both forms
        if not pieces.heads(blueprint):
            beside = made + self.reading
        else:                                               # the last buffers are there
            kept = self.packed(blueprint) if self.budget.quantise else self._last().stored
            if table.parameters:                            # which goes where a layer was made of it
                kept = max(0 if pieces.fused(blueprint) and not self.budget.quantise else kept, made)
            beside = self.reading + kept
        scores = working.streamed(blueprint, self.budget, self.dtype, self.tokens).head
        scores = max(scores, self.unpacking) if rows else scores
        if table.parameters and pieces.last(blueprint).parameters < table.parameters:
            looked_up = table.parameters * self.dtype.itemsize + made + self.reading
            head = pieces.last(blueprint).parameters * self.dtype.itemsize + beside + scores
            return max(min(looked_up, self.most), head)
        last = min(table.parameters * self.dtype.itemsize + spare + beside, self.most) + scores
        first = table.stored + self.reading + (self.unpacking if rows else 0)
        return last if table.parameters else max(last, min(first, self.most))

    def _last(self) -> pieces.Piece:
        """The layer before the head: the largest of all, but where a tower beside the text is known to have gone."""
        reads = self.blueprint.held and pieces.reads_text(self.blueprint)
        return pieces.met(replace(self.blueprint, stacks=self.blueprint.stacks[-1:]) if reads else self.blueprint)

    @cached_property
    def dtype(self) -> torch.dtype:
        """Of weights."""
        return weight_dtype(self.blueprint, self.budget)

    @cached_property
    def plain(self) -> bool:
        """Whether a table runs in the form in which it is stored, layers or not: an adapter is merged into those, and
        they may be packed: then its size tells."""
        table = pieces.table(self.blueprint)
        wide = table.parameters * self.dtype.itemsize
        near = wide <= table.stored < NEARLY * wide         # a little beside it may be in float32
        if self.blueprint.quantisation:
            return near
        common = DTYPES.get(self.blueprint.dtype)           # of most tensors: a codec's small ones (Kyutai STT)
        others = common is None or common.itemsize != self.dtype.itemsize
        return (near and (others or alike(self.blueprint, self.dtype))) or as_stored(self.blueprint, self.dtype)

    @cached_property
    def words(self) -> _Words:
        """Read once, for the embedding and the head, where they are one."""
        blueprint, table = self.blueprint, pieces.table(self.blueprint)
        staying, kept = pieces.rest(blueprint) - pieces.moving(blueprint), pieces.kept(blueprint)
        running = kept * self.dtype.itemsize
        if not kept or running + table.stored > self.most:
            return _Words(staying, 0, table)
        if kept < table.parameters:                         # a larger one goes
            return _Words(staying + kept, 0, table)
        later = 0 if "text" in blueprint.takes else running
        return _Words(staying + kept, later, pieces.Piece(0, 0 if self.plain else table.stored))

    @cached_property
    def coming(self) -> int:
        """Stored bytes of the layer that arrives while another one runs."""
        in_place = as_stored(self.blueprint, self.dtype) and not self.budget.quantise
        if in_place and not pieces.fused(self.blueprint):
            return pieces.second(self.blueprint)
        return pieces.met(self.blueprint).stored

    @cached_property
    def unpacking(self) -> int:
        """What unpacking a layer takes."""
        return unpacking(self.blueprint, pieces.met(self.blueprint).parameters)

    @cached_property
    def reading(self) -> int:
        """What reading takes beside what arrives; and what the library that packs has taken."""
        return 2 * ROUNDING + (LASTING if self.budget.quantise else 0)

    @cached_property
    def packing(self) -> int:
        """What it takes to quantise a layer."""
        values = min(pieces.met(self.blueprint).parameters // MATRICES, AT_ONCE)
        return values * QUANTISING.get(self.budget.quantise, 0)
