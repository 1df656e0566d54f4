"""Memory of what belongs to no layer, where a blueprint says how large each module of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from nexus_engine_sli.planning.headroom import choose
from nexus_engine_sli.planning.pieces import Piece, kept, last, moving, second, table
from nexus_engine_sli.planning.predicting import as_stored, buffers
from nexus_engine_sli.planning.working import heard
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


def test_a_table_runs_as_it_is_stored_whatever_most_tensors_are(speaking: Blueprint) -> None:
    """Most of a Kyutai STT's are a codec's in float32: its table counted in both forms, 788 MB for 471."""
    halves = tuple(replace(each, layer_bytes=(2 * LAYER,) * 8) for each in speaking.stacks)
    words = replace(speaking.outside[0], bytes=2 * WORDS)
    mixed = replace(speaking, stacks=halves, outside=(words,), bytes=speaking.bytes // 2 + 20 * MB)
    budget = Budget(memory=1 << 40, residency="stream", precision="bfloat16", micro_batch=1)
    sixteen, most = (choose(replace(mixed, dtype=each), budget).memory for each in ("BF16", "F32"))
    assert sixteen == most
    both = replace(mixed, outside=(replace(words, bytes=4 * WORDS),))
    assert choose(both, budget).memory > sixteen + WORDS, "a table in float32 is there in both"


def test_what_is_read_in_vain_waits(speaking: Blueprint) -> None:
    """A codec behind the text encoder, to which no text comes: nothing else arrives while the decoder runs."""
    codec = Outside(path="codec", parameters=4 * MB, behind=1)
    first, *others = speaking.outside
    text, decoder = speaking.stacks
    small = replace(text, layer_bytes=(4 * MB,) * 8)
    less = speaking.bytes - sum(text.layer_bytes) + sum(small.layer_bytes)
    more = replace(speaking, outside=(first, codec, *others), stacks=(small, decoder), bytes=less)
    away = replace(more, unmet=("codec",))
    assert (second(more), second(away)) == (4 * LAYER, 16 * MB)
    assert (last(more), last(away)) == (Piece(4 * MB, 16 * MB), Piece(CODES, 4 * CODES))


def test_words_that_are_looked_up_do_not_come_behind_layers(speaking: Blueprint) -> None:
    """CSM: 130 M of words, and a head of 2 M: 556 MB were predicted, and 301 taken. No layer arrives meanwhile."""
    words = replace(speaking.outside[0], parameters=100 * MB, shared=False)
    every = speaking.parameters + 75 * MB
    large = replace(speaking, outside=(words, *speaking.outside[1:]), parameters=every, bytes=4 * every)
    budget = Budget(memory=1 << 40, residency="stream", precision="float32", micro_batch=1)
    found = choose(large, budget).memory
    assert 4 * 105 * MB < found < 4 * (105 * MB + LAYER // 4)


def test_spectra_are_computed_as_narrow_as_they_are_asked_for(speaking: Blueprint) -> None:
    """Waves are convolved in float32. Wav2Vec2-BERT streamed: 307 MB were predicted, and 244 taken."""
    hearing = replace(speaking, takes=("audio",), gives=("embedding",), vocabulary=0, passing=50 * MB)
    budget = Budget(precision="bfloat16", micro_batch=2)
    spectra, waves = (heard(replace(hearing, frames=each), budget, torch.bfloat16, 0) for each in (0, 64))
    assert (spectra, waves) == (200 * MB, 400 * MB)


def test_codebooks_are_as_narrow_as_weights_where_these_are(speaking: Blueprint) -> None:
    """CSM in bfloat16: 67 MB were counted of tensors that take 34."""
    known = replace(speaking, buffers=60 * MB)
    narrow = replace(known, bytes=2 * known.parameters + 30 * MB, dtype="BF16")
    assert (buffers(narrow, torch.bfloat16), buffers(narrow, torch.float32)) == (30 * MB, 60 * MB)
    assert buffers(known, torch.float32) == 60 * MB


def test_what_stays_in_float32_counts_as_wide_as_it_is(speaking: Blueprint) -> None:
    """Kyutai STT, whose codec does: 1279 MB were predicted resident, and 1458 taken; streamed 411, and 528."""
    text, codec = speaking.stacks
    narrow = replace(text, layer_bytes=tuple(each // 2 for each in text.layer_bytes))
    half = replace(speaking, bytes=speaking.bytes // 2, dtype="BF16", outside=(), stacks=(narrow, codec))
    inner, beside = sum(codec.layer_parameters), 10 * MB
    wide = replace(codec, layer_float32=codec.layer_parameters)
    kept = replace(half, float32=inner + beside, stacks=(half.stacks[0], wide))
    ways: list[tuple[Any, Any, int]] = [
        ("resident", "bfloat16", inner + beside), ("stream", "bfloat16", beside + LAYER), ("resident", "float32", 0)
    ]  # fmt: skip
    for residency, precision, more in ways:
        budget = Budget(memory=1 << 40, residency=residency, precision=precision, micro_batch=1)
        grown = choose(kept, budget).memory - choose(half, budget).memory
        assert 2 * more <= grown <= 3 * more, (residency, precision)
