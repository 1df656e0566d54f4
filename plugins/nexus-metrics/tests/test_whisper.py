"""Transcripts made alike as Whisper does it, by transformers' own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nexus_metrics.spoken import WordErrorRate
from nexus_specs import NexusError
from nexus_specs.testing import sample

SAID = sample(text="Mr. Smith can't pay twenty-one dollars for the colour.")
HEARD = "mister smith can not pay $21 for the color uh"


def errors(**options: str) -> tuple[float, ...]:
    return WordErrorRate(**options).measure([SAID], {"answer": [HEARD]})[0]


def test_numbers_titles_and_hesitations_are_no_errors(tmp_path: Path) -> None:
    assert errors()[0] > 3
    assert errors(normaliser="english") == (1.0, 9.0)      # the spelling is left
    (tmp_path / "normalizer.json").write_text(json.dumps({"colour": "color"}))
    assert errors(normaliser="english", spellings=str(tmp_path))[0] == errors(normaliser="english")[0] - 1
    assert errors(normaliser="english", spellings=str(tmp_path / "normalizer.json")) == errors(
        normaliser="english", spellings=str(tmp_path)
    )


def test_other_languages_keep_their_words() -> None:
    spoken = sample(text="Hé, ça va ? (rire)")
    assert WordErrorRate(normaliser="basic").measure([spoken], {"answer": ["hé ça va"]}) == [(0.0, 3.0)]


def test_a_transcript_of_nothing_but_hesitation_is_no_word() -> None:
    assert WordErrorRate(normaliser="english").measure([sample(text="Uh, [noise]")], {"answer": ["um"]}) == [()]


def test_spellings_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"normalizer\.json"):
        errors(normaliser="english", spellings=str(tmp_path))
    (tmp_path / "normalizer.json").write_text("[1]")
    with pytest.raises(NexusError, match="spellings"):
        errors(normaliser="english", spellings=str(tmp_path))
    with pytest.raises(NexusError, match="not there"):
        errors(normaliser="english", spellings=str(tmp_path / "absent"))
