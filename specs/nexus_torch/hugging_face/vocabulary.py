"""What a tokenizer's files may say, looked at before the `tokenizers` library reads them.

The library makes room for the largest id of a vocabulary, however few tokens there are, and panics over merges of
pieces that are no tokens: neither is an error that Python could catch in time.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

LARGEST_ID = 1 << 24
"""Ids of tokens are smaller: fifty times the largest vocabulary there is."""
LARGEST_BYTES = 1 << 28


def check_tokenizer(home: Path) -> None:
    """NexusError where tokenizer.json or tokenizer_config.json of a folder says what no tokenizer can mean."""
    file = home / "tokenizer.json"
    found = _json(file)
    model = found.get("model")
    model = model if isinstance(model, dict) else {}
    vocabulary = model.get("vocab")
    added = [each.get("id") for each in _list(found.get("added_tokens")) if isinstance(each, dict)]
    check_ids((*(vocabulary.values() if isinstance(vocabulary, dict) else ()), *added), str(file))
    if isinstance(vocabulary, dict):
        prefix = model.get("continuing_subword_prefix")
        pairs = (each.split(" ", 1) if isinstance(each, str) else each for each in _list(model.get("merges")))
        check_merges(vocabulary, pairs, str(file), prefix if isinstance(prefix, str) else "")
    decoder = _json(home / "tokenizer_config.json").get("added_tokens_decoder")
    numbers = [int(key) for key in decoder if str(key).isdecimal()] if isinstance(decoder, dict) else []
    check_ids(numbers, str(home / "tokenizer_config.json"))


def check_ids(ids: Iterable[Any], where: str) -> None:
    """NexusError for an id that is none."""
    for each in ids:
        if type(each) is not int or not 0 <= each < LARGEST_ID:
            raise NexusError(
                f"'{where}': a token has the id {str(each)[:40]}; ids are whole numbers from 0 to {LARGEST_ID - 1:,}. "
                "The file is damaged: fetch it again."
            )


def check_merges(vocabulary: Container[str], pairs: Iterable[Any], where: str, prefix: str = "") -> None:
    """NexusError for a merge of two pieces that are not tokens, or whose join is none; the second one begins with
    `prefix`, which the join is without."""
    cut = len(prefix.encode())
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(each, str) for each in pair):
            raise NexusError(f"'{where}': the merge {str(pair)[:80]} is not of two pieces. Fetch the file again.")
        first, second = pair
        joined = first + second.encode()[cut:].decode(errors="replace")
        if len(second.encode()) < cut or any(piece not in vocabulary for piece in (first, second, joined)):
            raise NexusError(
                f"'{where}': the merge of '{first[:40]}' and '{second[:40]}' is of pieces that the vocabulary does not "
                "have. The file is damaged: fetch it again."
            )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _json(file: Path) -> Mapping[str, Any]:
    """The object that a file holds; nothing where there is no file."""
    if not file.is_file():
        return {}
    if file.stat().st_size > LARGEST_BYTES:
        raise NexusError(f"'{file}' has {file.stat().st_size:,} bytes; a tokenizer has at most {LARGEST_BYTES:,}.")
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise NexusError(f"'{file}' is not JSON ({str(error)[:80]}). Fetch the file again.") from error
    return found if isinstance(found, dict) else {}
