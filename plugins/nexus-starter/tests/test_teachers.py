"""The shipped checkpoints: ordinary, small, and as good as their cards say."""

from __future__ import annotations

import json

import pytest
from nexus_starter.places import CAPABILITIES, TEACHERS, table

pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="the extra [train] is not installed")

import pyarrow.parquet as pq
from nexus_starter.teaching.cards import parameters
from nexus_starter.teaching.scores import score
from transformers import AutoTokenizer


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_held_out_score_is_what_the_card_says_and_enough(name: str) -> None:
    found = score(name)
    assert found.reached, found
    assert f"**{found.value:.3f} {found.metric}**" in (TEACHERS / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_teacher_is_an_ordinary_checkpoint_in_bfloat16(name: str) -> None:
    config = json.loads((TEACHERS / name / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "bfloat16"
    assert "auto_map" not in config
    assert 100_000 < parameters(name) < 2_000_000


@pytest.mark.parametrize("name", ["prose", "code"])
def test_tokenizers_give_every_byte_back(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TEACHERS / name)
    texts = pq.read_table(table(name, "held_out")).column("text").to_pylist()
    for text in [*texts, "  leading", "tab\tand\r\nreturn", "emoji \U0001f600 é"]:
        plain = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(plain) == text
        assert tokenizer(text)["input_ids"] == [tokenizer.bos_token_id, *plain]


def test_the_two_tokenizers_differ() -> None:
    prose, code = (AutoTokenizer.from_pretrained(TEACHERS / name).get_vocab() for name in ("prose", "code"))
    assert prose != code
