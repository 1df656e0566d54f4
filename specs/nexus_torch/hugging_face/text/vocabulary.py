"""What a tokenizer's files may say, looked at before the `tokenizers` library reads them.

The library makes room for the largest id of a vocabulary, however few tokens there are, and panics over merges of
pieces that are no tokens: neither is an error that Python could catch in time.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

from ..folder import unmarked
from . import charsmaps
from .panics import risky

VOCABULARIES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "source.spm", "vocab.bpe", "tokenizer.tiktoken", "tekken.json", "bpe.codes",
    "spm.model", "sentencepiece.model", "spm_char.model", "tiktoken.model",
)  # fmt: skip
"""Files of which a tokenizer has one."""
FILES = (*VOCABULARIES, "merges.txt", "target.spm", "special_tokens_map.json", "added_tokens.json")
"""All of which one may be made."""
LARGEST_ID = 1 << 22
"""Ids of tokens are smaller: sixteen times the largest vocabulary there is."""
MOST_GROWTH, DEEPEST = 64, 12
"""How many times longer a text may get before it is cut, and descriptions inside each other."""
LARGEST_BYTES = 1 << 26
"""Bytes of one file of a tokenizer: the largest there is has 33 MB."""


def check_tokenizer(home: Path) -> bool:
    """NexusError where tokenizer.json or tokenizer_config.json of a folder says what no tokenizer can mean. Whether
    one of its regular expressions may go on without end over some text."""
    for name in FILES:
        check_size(home / name)
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
    steps = [found.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    _check_growth(steps, str(file))
    for node in _nodes(steps, DEEPEST):
        charsmap = node.get("precompiled_charsmap")
        if isinstance(charsmap, str) and (wrong := charsmaps.fault(charsmap)):
            raise NexusError(f"'{file}': its precompiled_charsmap {wrong}. The file is damaged: fetch it again.")
    decoder = _json(home / "tokenizer_config.json").get("added_tokens_decoder")
    numbers = [int(key) for key in decoder if str(key).isdecimal()] if isinstance(decoder, dict) else []
    check_ids(numbers, str(home / "tokenizer_config.json"))
    patterns = [node["pattern"] for node in _nodes(steps, DEEPEST) if isinstance(node.get("pattern"), dict)]
    return any(risky(pattern.get("Regex")) for pattern in patterns)


def _check_growth(steps: Any, where: str) -> None:
    """NexusError where replacements make a text longer than any tokenizer does: a space of three million letters, or
    twenty that double it."""
    grows = 1
    for node in _nodes(steps, DEEPEST):
        content = node.get("content") if node.get("type") == "Replace" else node.get("prepend")
        grows *= max(1, len(content)) if isinstance(content, str) else 1
        if grows > MOST_GROWTH:
            raise NexusError(
                f"'{where}': what it replaces makes a text more than {MOST_GROWTH} times as long. The file is damaged: "
                "fetch it again."
            )


def _nodes(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """The tables in a description, however deep."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if isinstance(value, dict):
        yield value
    for each in inner if depth else ():
        yield from _nodes(each, depth - 1)


def check_size(file: Path) -> None:
    """NexusError for a file that no tokenizer has."""
    if file.is_file() and (size := file.stat().st_size) > LARGEST_BYTES:
        raise NexusError(
            f"'{file}' has {size:,} bytes; of a tokenizer a file has at most {LARGEST_BYTES:,}. Fetch it again."
        )


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
    try:
        found = json.loads(unmarked(file))
    except (ValueError, RecursionError) as error:
        raise NexusError(f"'{file}' is not JSON ({str(error)[:80]}). Fetch the file again.") from error
    return found if isinstance(found, dict) else {}
