"""Memory of what belongs to no layer, where a blueprint says how large each module of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from nexus_engine_sli.planning.headroom import choose
from nexus_engine_sli.planning.pieces import Piece, kept, moving, table
from nexus_engine_sli.planning.predicting import as_stored
from nexus_specs import Blueprint, Budget, Outside, Stack

MB, WIDTH = 10**6, 1024
LAYER, WORDS, CODES = 16 * MB, 25 * MB, 2_200_000


@pytest.fixture
def speaking() -> Blueprint:
    """A text encoder's words, which two modules hold, and behind it a decoder of eight small tables (MusicGen)."""
    stacks = tuple(
        Stack(path=path, count=8, widths=(WIDTH,) * 8, layer_bytes=(4 * LAYER,) * 8, layer_parameters=(LAYER,) * 8)
        for path in ("text.layers", "layers")
    )
    total = 16 * LAYER + WORDS + 8 * CODES + 5 * MB
    facts: dict[str, Any] = {"parameters": total, "active_parameters": total, "bytes": 4 * total, "dtype": "F32"}
    tables = (Outside(path="words", parameters=WORDS, shared=True),
              *(Outside(path=f"codes.{at}", parameters=CODES, behind=1) for at in range(8)))  # fmt: skip
    return Blueprint(family="musicgen", head="X", takes=("text",), gives=("audio",), stacks=stacks, vocabulary=2048,
                     outside=tables, **facts)  # fmt: skip


def test_small_tables_and_large_ones_are_told_apart(speaking: Blueprint) -> None:
    """What is no layer was divided by the words of a decoder: eleven tables of its codes, and a codec that stays."""
    assert (moving(speaking), kept(speaking)) == (WORDS + 8 * CODES, WORDS)
    assert table(speaking) == Piece(WORDS, 4 * WORDS)
    halves = tuple(replace(each, layer_bytes=(2 * LAYER,) * 8) for each in speaking.stacks)
    narrow = replace(speaking, stacks=halves, bytes=speaking.bytes // 2, dtype="BF16")
    assert moving(narrow) == WORDS, "in sixteen bits the codes' tables are no 8 MiB, and stay"


def test_an_encoders_words_stay_once_they_are_there(speaking: Blueprint) -> None:
    """A MusicGen of 0.3 B in float32, streamed: 199 MB were predicted, and 262 taken."""
    alone = replace(speaking, outside=tuple(replace(each, shared=False) for each in speaking.outside))
    budget = Budget(memory=1 << 40, residency="stream", precision="float32", micro_batch=1)
    staying, layers = 4 * (WORDS + 5 * MB), 2 * 4 * LAYER
    assert staying + layers < choose(speaking, budget).memory < staying + layers + 40 * MB
    assert choose(speaking, budget).memory - choose(alone, budget).memory > 60 * MB, "it goes, and is larger"


def test_what_is_computed_and_not_stored_is_no_packing(speaking: Blueprint) -> None:
    """Marian's table of positions is in no file: its words were counted in both forms (581 MB for 480)."""
    fewer = replace(speaking, bytes=speaking.bytes - 2 * MB)
    assert as_stored(fewer, torch.float32)
    assert not as_stored(replace(speaking, bytes=speaking.bytes * 9 // 10), torch.float32)
