"""The pieces of a checkpoint that are held at a time, by its blueprint: layers, tables of words, and the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from typing import NamedTuple

import torch
from nexus_specs import Blueprint, Outside, Stack

from ..weights.units import LARGE

BLOCKS = re.compile(r"(?:i|t)?q\d\w*")
"""Types of GGUF's blocks."""
TOGETHER = frozenset({"mxfp4", "nvfp4"})
"""Packings besides in which all experts of a layer are one tensor."""


class Piece(NamedTuple):
    """A layer or a table."""

    parameters: int
    stored: int
    """Bytes."""


def widened(blueprint: Blueprint, dtype: torch.dtype) -> Blueprint:
    """The same with what stays in float32 counted as often as it is wider than the dtype of weights."""
    more = torch.float32.itemsize // dtype.itemsize - 1
    if more < 1 or not blueprint.float32:
        return blueprint
    stacks = tuple(
        replace(stack, layer_parameters=_more(stack.layer_parameters, stack.layer_float32, more), layer_float32=(),
                layer_active=_more(stack.layer_active, stack.layer_float32, more)) if stack.layer_float32 else stack
        for stack in blueprint.stacks
    )  # fmt: skip
    tables = tuple(replace(each, parameters=(1 + more) * each.parameters, float32=False) if each.float32 else each
                   for each in blueprint.outside)  # fmt: skip
    beside = more * blueprint.float32
    return replace(
        blueprint, stacks=stacks, outside=tables, float32=0, parameters=blueprint.parameters + beside,
        active_parameters=blueprint.active_parameters + beside,
    )  # fmt: skip


def _more(counts: Sequence[int], kept: Sequence[int], more: int) -> tuple[int, ...]:
    return tuple(count + more * each for count, each in zip(counts, kept, strict=True)) if counts else ()


def making(blueprint: Blueprint) -> float:
    """How often the weights of a layer are there while it is made of packed ones: of experts that are unpacked one by
    one and then put together, with one kind of their two or three matrices once more; of experts that share a tensor
    (MXFP4, GGUF's), once. `benchmarks/memory.py` measures both."""
    return 1.5 if blueprint.quantisation and fused(blueprint) and not shared(blueprint) else 1


def shared(blueprint: Blueprint) -> bool:
    """Whether experts of a pack share a tensor, of which some are unpacked at a time, as they stay."""
    return fused(blueprint) and (by_rows(blueprint) or blueprint.quantisation in TOGETHER)


def by_rows(blueprint: Blueprint) -> bool:
    """Whether what is packed is unpacked some rows at a time, into the dtype in which it stays (GGUF)."""
    return BLOCKS.fullmatch(blueprint.quantisation) is not None


def fused(blueprint: Blueprint) -> bool:
    """Whether experts are put together from tensors of their own, which takes a layer twice."""
    return blueprint.active_parameters < blueprint.parameters


def tied(blueprint: Blueprint) -> bool:
    """Whether the head is the embedding."""
    return ("text" in blueprint.gives or scores_words(blueprint)) and rest(blueprint) < 2 * _words(blueprint)


def reads_text(blueprint: Blueprint) -> bool:
    """Whether it reads texts as long as they are; a pipeline fills up or cuts its prompts."""
    return "text" in blueprint.takes and blueprint.vocabulary > 0


def scores_words(blueprint: Blueprint) -> bool:
    """Whether it gives scores of every word (a BERT's of hidden ones), not those of a few classes for each token."""
    return "scores" in blueprint.gives and not blueprint.labels


def heads(blueprint: Blueprint) -> bool:
    """Whether a table of words comes behind layers: one that gives scores, or the next encoder's of a pipeline. Else it
    is only looked up, before anything else."""
    return scores_words(blueprint) or not {"embedding", "label", "scores"} & set(blueprint.gives)


def first(blueprint: Blueprint) -> int:
    """Stored bytes of the layer that arrives while words are looked up, in whichever stack it is that reads them."""
    reading = [stack for stack in blueprint.stacks if not stack.sees] or blueprint.stacks
    return max((stack.layer_bytes[0] for stack in reading if stack.layer_bytes), default=0)


def outside(blueprint: Blueprint) -> list[tuple[Outside, Piece]]:
    """What belongs to no layer and comes and goes by itself, since it is stored in many bytes, in the model's order."""
    every = rest(blueprint)
    share = rest_stored(blueprint) / every if every else 0.0
    pieces = ((each, Piece(each.parameters, each.bytes or round(each.parameters * share)))
              for each in blueprint.outside)  # fmt: skip
    return [(each, piece) for each, piece in pieces if piece.stored >= LARGE]


def moving(blueprint: Blueprint) -> int:
    """Parameters of all that. Where nobody says its sizes it is tables of words, as many as there may be."""
    if blueprint.outside:
        return sum(piece.parameters for _, piece in outside(blueprint))
    return _tables(blueprint) * table(blueprint).parameters


def kept(blueprint: Blueprint) -> int:
    """Parameters of what of it stays once it is there, since others hold it too: the head that is the embedding."""
    if not blueprint.outside:
        return table(blueprint).parameters if tied(blueprint) else 0
    return sum(piece.parameters for each, piece in run(blueprint) if each.shared)


def table(blueprint: Blueprint) -> Piece:
    """The largest of it that runs; nothing where it all stays."""
    if blueprint.outside:
        return max((piece for _, piece in run(blueprint)), default=Piece(0, 0))
    if not _tables(blueprint):
        return Piece(0, 0)
    words = _words(blueprint)
    return Piece(words, rest_stored(blueprint) * words // max(rest(blueprint), 1))


def last(blueprint: Blueprint) -> Piece:
    """The largest of it that may come behind layers: the head, as a rule."""
    if blueprint.outside:
        return max((piece for each, piece in run(blueprint) if each.behind), default=Piece(0, 0))
    return table(blueprint)


def run(blueprint: Blueprint) -> list[tuple[Outside, Piece]]:
    """What of it samples come to."""
    return [(each, piece) for each, piece in outside(blueprint) if each.path not in blueprint.unmet]


def _tables(blueprint: Blueprint) -> int:
    """How many embeddings and heads come and go, since each is large; one of letters stays (VITS)."""
    words, every = _words(blueprint), rest(blueprint)
    large = every > 0 and rest_stored(blueprint) * words // every >= LARGE
    return every // words if words and large else 0


def _words(blueprint: Blueprint) -> int:
    """Parameters of an embedding, which is as wide as what reads; a tower beside it may be wider (CLIP)."""
    reading = tuple(stack for stack in blueprint.stacks if not stack.sees)
    return blueprint.vocabulary * width_of(replace(blueprint, stacks=reading or blueprint.stacks))


def largest(blueprint: Blueprint) -> Piece:
    """Of all layers."""
    every = layers(blueprint)
    most = max((layer.parameters for layer in every), default=0)
    return Piece(most, max((layer.stored for layer in every), default=0))


def met(blueprint: Blueprint) -> Piece:
    """Likewise, of those that samples come to. What arrives while one of them runs may be the first behind it, which is
    read in vain."""
    come, behind = _met(blueprint)
    if not come:
        return largest(blueprint)
    return Piece(max(layer.parameters for layer in come), max(layer.stored for layer in (*come, *behind)))


def second(blueprint: Blueprint) -> int:
    """Stored bytes of what may arrive while the largest of them runs as it is stored: two that follow each other are
    there together (layers with experts may have a small one between them). Behind what is read in vain nothing comes
    before it is asked for, since what was guessed waits (`InPlace`): in an SDXL a block of its VAE, all through the
    denoiser."""
    away = [stack.path in blueprint.unmet for stack in blueprint.stacks]
    until = next((at for at, (one, behind) in enumerate(pairwise(away), 1) if behind and not one), len(away))
    vain = [(each.behind, piece.stored) for each, piece in outside(blueprint) if each.path in blueprint.unmet][:1]
    until = min([until, *(at for at, _ in vain)])
    stacks = [each for each, gone in zip(blueprint.stacks[:until], away, strict=False) if not gone]
    stacks = stacks or ([] if vain else list(blueprint.stacks))
    runs = [[layer.stored for layer in layers_of(blueprint, stack)] for stack in stacks if stack.layer_bytes]
    pairs = [pair for run in runs for pair in pairwise(run)]
    pairs += [(one[-1], other[0]) for one, other in permutations(runs, 2)]
    come, behind = _met(blueprint)
    largest_of_all = max((layer.stored for layer in come or layers(blueprint)), default=0)
    together = max(map(sum, pairs), default=0) - largest_of_all
    return max(together, *(layer.stored for layer in behind), *(stored for _, stored in vain), 0)


def _met(blueprint: Blueprint) -> tuple[list[Piece], list[Piece]]:
    """The layers that samples come to, and those of the others that may be read behind them."""
    away = [stack for stack in blueprint.stacks if stack.path in blueprint.unmet]
    come = [layer for stack in blueprint.stacks if stack not in away for layer in layers_of(blueprint, stack)]
    ends = [behind.path.rpartition(".")[0] for one, behind in pairwise(blueprint.stacks)
            if one not in away and behind in away]  # fmt: skip
    behind = [layer for stack in away if any(stack.path.startswith(f"{end}.") for end in ends)
              for layer in layers_of(blueprint, stack)[:1]]  # fmt: skip
    return come, behind


def width_of(blueprint: Blueprint) -> int:
    """The largest residual width."""
    return max((max(stack.widths, default=0) for stack in blueprint.stacks), default=0)


def layers(blueprint: Blueprint) -> list[Piece]:
    """Every layer."""
    return [layer for stack in blueprint.stacks for layer in layers_of(blueprint, stack)]


def layers_of(blueprint: Blueprint, stack: Stack) -> list[Piece]:
    """Those of one stack."""
    counts = stack.layer_parameters or tuple(_parameters(blueprint, each) for each in stack.layer_bytes)
    return list(map(Piece, counts, stack.layer_bytes))


def _parameters(blueprint: Blueprint, stored: int) -> int:
    return round(stored * blueprint.parameters / max(1, blueprint.bytes))


def rest(blueprint: Blueprint) -> int:
    """Parameters that belong to no layer."""
    return max(0, blueprint.parameters - sum(layer.parameters for layer in layers(blueprint)))


def rest_stored(blueprint: Blueprint) -> int:
    """Their bytes in the files."""
    return max(0, blueprint.bytes - sum(layer.stored for layer in layers(blueprint)))
