"""The tokenizer that a file's metadata describes, as transformers' fast tokenizer, in memory.

What builds the vocabulary's own part is in `builders.py`; here stands what is the same for all: special tokens, what is
put around a text, chat templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hugging_face.described import hashed
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast
from transformers.integrations.gguf import gguf_tokenizer_mapping as official

from .builders import BUILDERS
from .pretokenizers import STARTED
from .scanner import STRING_COST, Stored
from .source import Source
from .stripping import strip
from .types import ARRAY, STRING

IDS: Mapping[str, str] = {
    "bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id", "sep_token": "seperator_token_id", "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}  # fmt: skip
"""Special tokens -> their keys, one of which gguf misspells."""
LARGEST_VOCABULARY = 1 << 21
SMALL = 4 << 20
"""Bytes of memory that the metadata of a tokenizer may take to be built when nobody uses it: 50,000 tokens, and six
times as much once it is built."""
ENCODERS = ("bert", "nomic-bert", "modern-bert", "eurobert", "jina-bert-v2", "jina-bert-v3", "nomic-bert-moe")


def tokenizer(source: Source) -> PreTrainedTokenizerFast:
    """The tokenizer. NexusError where the metadata describes none, or one that cannot be built."""
    described = _described(source)
    build = BUILDERS.get(described["tokenizer_type"])
    if build is None:
        raise NexusError(
            f"'{source.path}': the metadata 'tokenizer.ggml.model' is '{described['tokenizer_type'] or 'missing'}'; "
            f"tokenizers are built from: {', '.join(BUILDERS)}. Samples must be given as token ids."
        )
    try:
        backend = build(source, described)
        special = _special(source, described["tokens"])
        _frame(source, backend, special)
        strip(source, backend, described["tokens"], described.get("token_type", ()))
    except NexusError:
        raise
    except Exception as error:                              # whatever a damaged vocabulary makes the libraries say
        said = " ".join(str(error).split())[:300]
        raise NexusError(f"'{source.path}': no tokenizer can be built of its metadata: {said}") from error
    chat = source.get("tokenizer.chat_template")
    more = {"chat_template": chat} if isinstance(chat, str) else {}
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **special, **more)


def brief(source: Source) -> str | None:
    """The hash of a large tokenizer's metadata, which is read and not kept; "" where no tokenizer is built of such.
    None for a small one, which says more once it is built."""
    keys = sorted(key for key in source.metadata if key.startswith("tokenizer."))
    stored = [value for key in keys if isinstance(value := source.metadata[key], Stored)]
    if sum(each.stop - each.start + STRING_COST * each.count for each in stored) <= SMALL:
        return None
    tokens = source.metadata.get("tokenizer.ggml.tokens")
    words = isinstance(tokens, Stored) and tokens.kind == ARRAY + 1 + STRING and tokens.count <= LARGEST_VOCABULARY
    if not words or source.metadata.get("tokenizer.ggml.model") not in BUILDERS:
        return ""
    return hashed((key, source.pieces(key)) for key in keys)


def _described(source: Source) -> dict[str, Any]:
    """The metadata by the names that transformers' functions use."""
    for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre"):
        source.text(key)                                    # NexusError for what is no name
    names = official.GGUF_TOKENIZER_MAPPING["tokenizer"]
    found = {name: value for key, name in names.items() if (value := source.get(f"tokenizer.{key}")) is not None}
    found.setdefault("tokenizer_type", "")
    tokens = found.setdefault("tokens", [])
    if not isinstance(tokens, list) or len(tokens) > LARGEST_VOCABULARY:
        raise NexusError(f"'{source.path}': the metadata 'tokenizer.ggml.tokens' is no list of tokens.")
    for name in ("scores", "token_type"):
        if name in found and len(found[name]) != len(tokens):
            raise NexusError(
                f"'{source.path}': the metadata 'tokenizer.ggml.{name}' has {len(found[name])} entries for "
                f"{len(tokens)} tokens. The file is damaged: fetch it again."
            )
    return found


def _special(source: Source, tokens: list[str]) -> dict[str, str]:
    found = {}
    for name, key in IDS.items():
        index = source.get(f"tokenizer.ggml.{key}")
        if isinstance(index, int) and 0 <= index < len(tokens):
            found[name] = tokens[index]
    return found


def _frame(source: Source, backend: Tokenizer, special: Mapping[str, str]) -> None:
    """What stands around a text when special tokens are asked for: [CLS] and [SEP], or a start and an end token."""
    encoder = source.architecture in ENCODERS
    kind = source.text("tokenizer.ggml.model")
    started = kind == "gpt2" and source.get("tokenizer.ggml.pre", "") in STARTED
    wanted = kind == "llama" or encoder or started
    first = special.get("cls_token") or special.get("bos_token")
    last = special.get("sep_token") or special.get("eos_token")
    before = bool(source.get("tokenizer.ggml.add_bos_token", wanted))
    after = bool(source.get("tokenizer.ggml.add_eos_token", encoder or kind == "t5"))       # as llama.cpp takes it
    parts = [*([first] if before and first else []), "$A", *([last] if after and last else [])]
    used = {token: backend.token_to_id(token) for token in parts if token != "$A"}  # noqa: S105 - a template's variable
    if any(index is None for index in used.values()):
        return
    backend.post_processor = processors.TemplateProcessing(
        single=" ".join(f"{each}:0" for each in parts), special_tokens=list(used.items())
    )
