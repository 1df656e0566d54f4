"""Tokenizers' files that would take the machine's memory, or end in a panic, are refused with a reason."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from nexus_specs import NexusError
from nexus_torch.hugging_face.text.panics import hushed, risky
from nexus_torch.hugging_face.text.vocabulary import check_merges, check_tokenizer
from tokenizers.normalizers import Precompiled

VOCABULARY = {"a": 0, "b": 1, "ab": 2, "##b": 3}


def folder(place: Path, model: dict[str, Any], **more: Any) -> Path:
    """A folder with a tokenizer.json."""
    (place / "tokenizer.json").write_text(json.dumps({"model": model, **more}))
    return place


@pytest.mark.parametrize("merges", [["a b"], [["a", "b"]], []])
def test_what_is_right_passes(tmp_path: Path, merges: list[Any]) -> None:
    check_tokenizer(tmp_path)
    check_tokenizer(folder(tmp_path, {"vocab": VOCABULARY, "merges": merges}, added_tokens=[{"id": 9}]))
    check_tokenizer(folder(tmp_path, {"vocab": [["a", -1.0]]}))
    check_merges(VOCABULARY, [("a", "##b")], "here", "##")


@pytest.mark.parametrize("number", [1_000_000_000, -1, 2.5, "7", True, None])
def test_an_id_that_is_none_is_refused(tmp_path: Path, number: Any) -> None:
    for found in ({"vocab": {"a": number}}, {"vocab": {}}):
        with pytest.raises(NexusError, match=r"tokenizer.json': a token has the id .* fetch it again"):
            check_tokenizer(folder(tmp_path, found, added_tokens=[{"id": number}]))


def test_an_id_of_the_configuration_counts(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"4000000000": {}}}))
    with pytest.raises(NexusError, match=r"tokenizer_config.json': a token has the id 4000000000"):
        check_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("pair", "prefix"),
    [(["a", "c"], ""), (["b", "a"], ""), (["a"], ""), ("ab", ""), (["a", 1], ""), (["a", "b"], "#####"), (None, "")],
)
def test_a_merge_of_no_tokens_is_refused(pair: Any, prefix: str) -> None:
    with pytest.raises(NexusError, match=r"'here': the merge .*again"):
        check_merges(VOCABULARY, [*[("a", "b")][: not prefix], pair], "here", prefix)


def test_what_is_not_json_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.json").write_text("{" + "[" * 100_000)
    with pytest.raises(NexusError, match="is not JSON"):
        check_tokenizer(tmp_path)
    monkeypatch.setattr("nexus_torch.hugging_face.text.vocabulary.LARGEST_BYTES", 10)
    with pytest.raises(NexusError, match="at most 10"):
        check_tokenizer(tmp_path)


def trie(units: list[int], text: bytes = b"a\0") -> bytes:
    """A charsmap of these units, filled up to a block."""
    filled = [*units, *[0] * (256 - len(units))]
    return len(filled * 4).to_bytes(4, "little") + b"".join(each.to_bytes(4, "little") for each in filled) + text


@pytest.mark.parametrize(
    ("charsmap", "words"),
    [
        (b"", "does not hold the trie"),
        (trie([0]), ""),
        (trie([1 << 10]), ""),
        (b"\0\0\0\0", "does not hold the trie"),
        (b"\xff" * 68, "does not hold the trie"),
        (trie([1 << 20]), "leads out of its trie"),
        (trie([1 << 31 | 1 << 20]), "leads out of its trie"),
        (trie([0, 1 << 20]), "leads out of its trie"),
        (trie([1 << 10 | 1 << 8, 1 << 31 | 7]), "leads out of its replacements"),
        (trie([1 << 10 | 1 << 8, 1 << 31 | 1], "é".encode()), "leads out of its replacements"),
        (trie([1 << 10 | 1 << 8, 1 << 31], "é".encode()), ""),
        (trie([0], b"\xff"), "no text"),
        (trie([0], b"x" * 300), "more than 256 bytes"),
    ],
)
def test_a_charsmap_is_held_against_its_bounds(tmp_path: Path, charsmap: bytes, words: str) -> None:
    normalizer = {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    ]}  # fmt: skip
    home = folder(tmp_path, {"vocab": VOCABULARY}, normalizer=normalizer)
    if not words:
        check_tokenizer(home)
        assert isinstance(Precompiled(charsmap).normalize_str("aé" * 9), str)
        return
    with pytest.raises(NexusError, match=f"precompiled_charsmap .*{words}"):
        check_tokenizer(home)


def test_a_charsmap_that_is_not_base_64_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="is not base 64"):
        check_tokenizer(folder(tmp_path, {"vocab": VOCABULARY}, normalizer={"precompiled_charsmap": "é"}))


def test_what_is_said_without_a_failure_comes_behind(capfd: pytest.CaptureFixture[str]) -> None:
    assert risky("(a|a)+$")
    assert not risky(r"\s+(?!\S)|[^\r\n\p{L}]?\p{L}+(?i:'s|'t)?")
    with hushed(risk=True):
        os.write(2, b"a warning\n")
    assert capfd.readouterr().err == "a warning\n"

    def panics() -> None:
        with hushed(risk=True):
            os.write(2, b"thread panicked\n")
            raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        panics()
    os.write(2, b"and heard again\n")
    assert capfd.readouterr().err == "and heard again\n"
