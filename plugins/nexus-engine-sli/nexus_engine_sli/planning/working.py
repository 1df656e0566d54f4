"""What a batch takes beside the weights: while a layer runs, and while what the model gives is read. The two are never
there together: a layer's tensors are gone when the head makes scores. Bytes.

A layer, in tensors of one state: the residual and its norm, then the products of the MLP or those of attention,
whichever are more. A gated MLP has three matrices and makes three wide tensors, a plain one two of each: so their width
is what the layer's weights leave beside those of attention.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from nexus_specs import Blueprint, Budget

from ..memory.allocating import FINE, GROWN, MAPPED
from ..outputs.deferring import rows_at_once
from . import pieces

TOKENS, STATES = 48, 256
"""Tokens of a text, where unknown: a sentence or two. States of a sound, likewise: five seconds."""
RESIDUAL, ATTENTION, FOUR = 2, 6, 4
"""Tensors of the residual width that a layer keeps beside its products: the residual and its norm; those that attention
makes, which it holds together (queries, keys, values, of which two are turned, and what it gives); matrices of the
residual width that attention has."""
WIDEST, DRAWN = 24, 8
"""Residual widths that a MLP makes of a token at most: one of eight widths, gated; of what is drawn, a plain one of
four, for its blocks have weights that a token does not meet (a second stream, modulations, convolutions)."""
WORDY = frozenset({"text", "label", "embedding", "scores"})
"""What is given by others than denoisers."""
ALIKE = 0.1
"""How near, in matrices of the residual width, the MLPs of an encoder and a decoder are if they are the same but for
norms and biases."""
KEPT, WAITING = 4, 2
"""States among what a forward has at one time (`Blueprint.alive`): what its first layer was given, what this one was,
the residual and its norm; of which the first two wait as others' do where layers are streamed."""
LEFT, LEFT_IN_TOWERS, UNTRIMMED, SLACK = 12, 6, 15, 16_000_000
"""Tensors of that width that attention makes and drops, and that leave holes of their size in the heap, which wider
ones do not fit into: norms in float32 and rotary embeddings of those that write, and of others, which have none; where
everything is resident the heap is not trimmed behind a layer, so more are left, by a tower beside what reads it. Bytes
up to which the holes of the batches before stay, since the heap is not trimmed for less."""
LOST = 28_000_000
"""Likewise, where nothing but pictures passes, of those beside all that is known to be there."""
HOLES, UNTRIMMED_HOLES = 11, 6
"""Likewise, beside all that is known to be there."""
TRIMMED = 24
"""Likewise, of texts, by all layers: the heap is trimmed where it has grown by more than is allowed."""
TURNED = 8
"""Tensors of that width that a block makes besides of sixteen bits where it turns what attention asks and looks up, for
that is in float32 (FLUX)."""
FRAMES, SCANS, INNER = 4, 3, 20
"""Tensors of a sound's frames; those of a scan (decay, input, and both), and of the residual width what a layer makes
around it, which is twice as wide: what is projected, convolved and turned, its steps and their sum with a bias, the
gate (a Mamba's on the meta device)."""


class Working(NamedTuple):
    """Bytes at the two times."""

    layer: int
    head: int


def streamed(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float) -> Working:
    """Where layers come one by one, and large blocks go back as soon as they are freed."""
    known = held(blueprint, budget, dtype) + _left(blueprint, budget, dtype)
    if known and not pieces.reads_text(blueprint):
        return Working(known, 0)
    leaves = (HOLES if blueprint.alive else LEFT) if "text" in blueprint.gives else LEFT_IN_TOWERS
    found, left = _working(blueprint, budget, dtype, tokens, leaves, MAPPED, WAITING)
    before = 2 * left if blueprint.alive or WORDY & set(blueprint.gives) else 0     # what is drawn passes at once
    layer = max(known, found.layer + min(SLACK, before))
    return Working(layer, found.head + (SLACK if pieces.heads(blueprint) else 0))


def resident(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float) -> Working:
    """Where all layers are there; no state waits, so what the first layer was given counts here."""
    mapped = FINE if budget.quantise or pieces.fused(blueprint) else MAPPED
    whole = blueprint.alive and not _turned(blueprint)
    found, _ = _working(blueprint, budget, dtype, tokens, 0 if whole else UNTRIMMED, mapped)
    if whole:
        state = states(blueprint, budget.micro_batch, tokens) * product(budget, dtype).itemsize
        holes = min(TRIMMED * state, slack(blueprint.bytes)) if state < mapped else 0
        return found._replace(layer=found.layer + holes)
    first = states(blueprint, budget.micro_batch, tokens) * dtype.itemsize
    both = min(_read(blueprint, tokens), blueprint.seen) * max(1, budget.micro_batch) * product(budget, dtype).itemsize
    return found._replace(layer=found.layer + first + (UNTRIMMED * both if both < mapped else 0))


def slack(weights: int) -> int:
    """Bytes that the heap may hold beyond what is used, by those of the weights that are there at a time."""
    return min(GROWN, max(SLACK, weights // 10))


def held(blueprint: Blueprint, budget: Budget, dtype: torch.dtype) -> int:
    """What a batch has at most while any stack runs, as samples showed, beside what it was given; and the weights of a
    product, in the dtype that it is made in. 0 where they did not show it."""
    if not blueprint.held:
        return 0
    narrow, wide = map(max, zip(*blueprint.held.values(), strict=True))
    most = _in(dtype, (narrow, wide), budget)
    mixed = product(budget, dtype) != dtype
    cast = torch.bfloat16.itemsize * pieces.largest(blueprint).parameters // FOUR if mixed else 0
    return max(1, budget.micro_batch) * (most + given(blueprint, dtype)) + cast


def waits(blueprint: Blueprint, budget: Budget, dtype: torch.dtype) -> int:
    """What one sample has where something begins that comes and goes, as samples showed. 0 where they did not."""
    moving = {*(stack.path for stack in blueprint.stacks), *(each.path for each, _ in pieces.outside(blueprint))}
    found = [_in(dtype, both, budget) for path, both in blueprint.waits.items() if path in moving]
    return max(found, default=0)


def _in(dtype: torch.dtype, both: tuple[int, int], budget: Budget) -> int:
    """Of bytes in bfloat16 and in float32, those where weights are in a dtype, and products in another one maybe."""
    narrow, wide = both
    if dtype == torch.bfloat16:
        return narrow
    return (2 * narrow + wide) // 3 if product(budget, dtype) != dtype else wide


def _left(blueprint: Blueprint, budget: Budget, dtype: torch.dtype) -> int:
    """Holes that batches of pictures leave, beside what samples showed to be there."""
    state = max(1, budget.micro_batch) * blueprint.seen * dtype.itemsize
    return min(LOST, LEFT_IN_TOWERS * state) if blueprint.given and state < MAPPED else 0


def made(blueprint: Blueprint, budget: Budget) -> int:
    """What it takes to make the tensors of a batch: of each sample, and once more of the one that is turned."""
    return (max(1, budget.micro_batch) + 1) * blueprint.making


def given(blueprint: Blueprint, dtype: torch.dtype) -> int:
    """Bytes that a sample's tensors take in the dtype of weights, as long as its forward lasts."""
    return blueprint.given // (torch.float32.itemsize // dtype.itemsize)


def _working(
    blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float, leaves: int, mapped: int, waiting: int = 0
) -> tuple[Working, int]:
    """Of a batch, and the holes in it; blocks of `mapped` bytes go back as soon as they are freed, smaller ones leave
    so many."""
    positions = states(blueprint, budget.micro_batch, tokens)
    made = product(budget, dtype).itemsize
    state = positions * made
    if _turned(blueprint):
        narrow = TURNED if made < torch.float32.itemsize else 0
        held = round((blueprint.alive / pieces.width_of(blueprint) + narrow) * state)
    elif blueprint.alive:
        products_of_one = max(0, blueprint.alive - KEPT * pieces.width_of(blueprint))
        held = (KEPT - waiting) * positions * dtype.itemsize
        held += products_of_one * _positions(blueprint, budget, tokens) * made
    else:
        around = INNER if blueprint.scanned and not blueprint.chunk else ATTENTION
        held = RESIDUAL * positions * dtype.itemsize + round(max(around, products(blueprint)) * state)
    left = leaves * state if state < mapped else 0
    cast = made if product(budget, dtype) != dtype else 0   # the weights of a product, in the dtype that it is made in
    whole = _scanned(blueprint, budget, tokens) + _pairs(blueprint, budget, made, tokens)
    layer = held + left + whole + cast * pieces.largest(blueprint).parameters // FOUR
    head = pieces.table(blueprint).parameters if pieces.heads(blueprint) else 0
    return Working(layer, _scores(blueprint, budget, made, tokens) + cast * head), left


def _turned(blueprint: Blueprint) -> bool:
    """Whether what is known to be there is of a denoiser's blocks, which turn states of a picture and its prompt."""
    return blueprint.alive > 0 and blueprint.seen > 0 and not WORDY & set(blueprint.gives)


def product(budget: Budget, dtype: torch.dtype) -> torch.dtype:
    """The dtype that products give."""
    return torch.bfloat16 if budget.precision == "bfloat16" else dtype


def products(blueprint: Blueprint) -> float:
    """Width of what the MLP of a layer makes of one token, in residual widths.

    A Llama of width 1024 whose MLP has 2816: 3 * 2816 / 1024; a BERT's of 4096: 2 * 4096 / 1024."""
    found = [0.0]
    for stack in blueprint.stacks:
        met = () if stack.path in blueprint.unmet else stack.layer_active or stack.layer_parameters
        sized = zip(stack.widths, met, strict=False)
        found.append(max((parameters / width**2 - FOUR for width, parameters in sized if width > 0), default=0.0))
    most = max(found)
    if any(abs(most - FOUR - each) < ALIKE for each in found if each > 0):
        most -= FOUR                                        # a decoder's, which attends to an encoder's states as well
    return min(most, WIDEST if WORDY & set(blueprint.gives) else DRAWN)


def heard(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float) -> int:
    """What convolutions over a sound compute with, before any layer; as samples showed, all that a forward does: over
    waves in float32, which processors convolve and normalise bfloat16 in."""
    if blueprint.held or "audio" not in (*blueprint.takes, *blueprint.gives):
        return 0                                            # it is counted there, or what hears is left out
    if blueprint.passing:
        spectra = "audio" in blueprint.takes and not blueprint.frames           # layers have the most
        made = product(budget, dtype) if spectra else torch.float32
        return max(1, budget.micro_batch) * blueprint.passing * made.itemsize
    return _positions(blueprint, budget, tokens) * FRAMES * blueprint.frames * dtype.itemsize


def length(blueprint: Blueprint, tokens: float = 0.0) -> float:
    """Positions of a sample: as many tokens as are said (0: not known), and no more than a text can have; and the
    places of its picture."""
    wanted = tokens or (TOKENS if "text" in blueprint.takes else STATES)
    wanted = min(blueprint.context or wanted, wanted) if "text" in blueprint.takes else wanted
    return wanted + blueprint.places


def states(blueprint: Blueprint, samples: int, tokens: float = 0.0) -> int:
    """Values of one tensor of the states of some samples: of their texts, or of their pictures in their tower."""
    return max(1, samples) * max(_read(blueprint, tokens), blueprint.seen)


def _read(blueprint: Blueprint, tokens: float) -> int:
    """Likewise, of one text; none is read where pictures are all that is taken."""
    if blueprint.seen and {"image", "video"}.issuperset(blueprint.takes):
        return 0
    return round(length(blueprint, tokens)) * pieces.width_of(blueprint)


def _positions(blueprint: Blueprint, budget: Budget, tokens: float) -> int:
    """Tokens of a batch."""
    return max(1, budget.micro_batch) * round(length(blueprint, tokens))


def _scanned(blueprint: Blueprint, budget: Budget, tokens: float) -> int:
    """What a scan over the states of a layer computes with; always in float32."""
    together = max(1, blueprint.chunk)
    each = -(-round(length(blueprint, tokens)) // together) * together
    return max(1, budget.micro_batch) * each * SCANS * blueprint.scanned * torch.float32.itemsize


def _pairs(blueprint: Blueprint, budget: Budget, made: int, tokens: float) -> int:
    """Attention scores that are there whole: as they are made, with their mask, and their softmax in float32."""
    rows = max(round(length(blueprint, tokens)), blueprint.seen // max(1, pieces.width_of(blueprint)))
    return max(1, budget.micro_batch) * rows**2 * blueprint.scored * (2 * made + torch.float32.itemsize)


def _scores(blueprint: Blueprint, budget: Budget, made: int, tokens: float) -> int:
    """Scores of words: those of a block of rows as the head makes them, and one sample's in float32, of which its
    log-probabilities are made. Of a head that gives scores and no text, all of a batch's, and the block that is made.
    Of one that gives neither, nothing: its words are only looked up."""
    every = _positions(blueprint, budget, tokens)
    rows = min(every, rows_at_once(blueprint.vocabulary))
    if "text" in blueprint.gives:
        return blueprint.vocabulary * (rows * made + min(rows, round(length(blueprint, tokens))) * 4)
    return blueprint.vocabulary * (rows + every) * made if pieces.scores_words(blueprint) else 0
