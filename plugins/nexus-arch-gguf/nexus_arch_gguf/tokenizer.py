"""The tokenizer that a file's metadata describes, as transformers' fast tokenizer, in memory.

Byte-level BPE and sentencepiece vocabularies are built by transformers' own functions for GGUF, with llama.cpp's table
of how text is cut; word pieces (BERT), which transformers does not build, by the library that its tokenizers stand on.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hugging_face.described import hashed
from nexus_torch.hugging_face.telling import once
from nexus_torch.hugging_face.text.charsmaps import fault_of
from nexus_torch.hugging_face.text.vocabulary import check_merges
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from transformers.integrations.gguf import gguf_tokenizer_mapping as official

from .pretokenizers import BY_NAME, SPACED, STARTED, WHOLE_WORDS_FIRST
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
PHANTOM = "\u2581"
"""What stands before a piece that begins a word."""
LARGEST_VOCABULARY = 1 << 21
SMALL = 4 << 20
"""Bytes of memory that the metadata of a tokenizer may take to be built when nobody uses it: 50,000 tokens, and six
times as much once it is built."""
OF_OLD: Mapping[str, str] = {
    "gpt2": "gpt-2", "phi2": "gpt-2", "gptneox": "gpt-2", "mpt": "gpt-2", "falcon": "falcon", "starcoder": "starcoder",
    "starcoder2": "starcoder", "bloom": "bloom", "qwen2": "qwen2", "qwen2moe": "qwen2", "command-r": "command-r",
    "olmo": "olmo", "dbrx": "dbrx",
}  # fmt: skip
"""Architecture -> the one way in which its models of before May 2024 cut text."""
CAPITAL = re.compile("[A-Z]")
CONTROL, OF_THE_USER = 3, 4
"""Types of tokens, `llama_token_type`."""
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


def _bytes(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE."""
    kind = described.get("pre_tokenizer_type") or _unsaid(source)
    if kind in SPACED:
        return _characters(source, described)
    if kind not in BY_NAME:
        raise NexusError(
            f"'{source.path}': the metadata 'tokenizer.ggml.pre' is '{kind}', and no such way to cut text is known "
            "here; cutting it another way would give other tokens."
        )
    vocabulary, merges = _pairs(source, described)
    backend = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=kind in WHOLE_WORDS_FIRST))
    backend.decoder = decoders.ByteLevel()
    _add_special(backend, described)
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        *(pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in BY_NAME[kind]),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    return backend


def _unsaid(source: Source) -> str:
    """How text is cut where no metadata says it (files of before May 2024): as the architecture's models do, else as
    llama.cpp does, which is told."""
    if (named := OF_OLD.get(source.architecture)) is None:
        once(
            ("pre", source.path),
            f"'{source.path}' does not say how text is cut (tokenizer.ggml.pre): it was converted before May 2024. It "
            "is cut in llama.cpp's default way, and tokens may be others than the model's: a newer file is better.",
        )
    return named or "default"


def _pairs(source: Source, described: Mapping[str, Any]) -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Tokens -> their ids, and which two of them become one. NexusError for pieces that are no tokens."""
    vocabulary = {token: index for index, token in enumerate(described["tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in described.get("merges", ())]
    check_merges(vocabulary, merges, str(source.path))
    return vocabulary, merges


def _characters(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Byte pairs of characters, with bytes for those that are no token."""
    vocabulary, merges = _pairs(source, described)
    backend = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", PHANTOM)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]+|\n+"), behavior="isolated")
    backend.decoder = _spaced()
    _add_special(backend, described)
    return backend


def _spaced() -> decoders.Decoder:
    """Pieces to text, with a space wherever a piece has one."""
    return decoders.Sequence([decoders.Replace(PHANTOM, " "), decoders.ByteFallback(), decoders.Fuse()])


def _add_special(backend: Tokenizer, described: Mapping[str, Any]) -> None:
    """Control tokens stay whole and are special, tokens of the user stay whole."""
    kinds = described.get("token_type", ())
    for wanted, special in ((CONTROL, True), (OF_THE_USER, False)):
        found = [
            AddedToken(token, normalized=False, special=special)
            for token, kind in zip(described["tokens"], kinds, strict=False)
            if kind == wanted and token
        ]
        backend.add_special_tokens(found) if special else backend.add_tokens(found)


def _pieces(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Sentencepiece with scores, Gemma's, and unigrams: as transformers builds them, but that a text which begins with
    a space gets its own before it, as sentencepiece and llama.cpp do."""
    kind = described["tokenizer_type"]
    made = official.select_tokenizer_builder(source.architecture, kind)(described)
    backend: Tokenizer = official.add_gguf_special_tokens(made, described).backend_tokenizer
    if kind == "llama" and source.architecture not in official.GGUF_SENTENCEPIECE_BUILDERS:
        spaces = normalizers.Replace(pattern=" ", content=PHANTOM)
        before = [normalizers.Prepend(prepend=PHANTOM)] if source.get("tokenizer.ggml.add_space_prefix", True) else []
        backend.normalizer, backend.pre_tokenizer = normalizers.Sequence([*before, spaces]), None
        if not before:                                      # no space that was put there is to be taken off again
            backend.decoder = _spaced()
    charsmap = described.get("precompiled_charsmap")
    if kind == "t5" and isinstance(charsmap, (list, array)) and charsmap:
        stored = bytes(each & 0xFF for each in charsmap)
        if wrong := fault_of(stored):
            raise NexusError(f"The metadata 'tokenizer.ggml.precompiled_charsmap' {wrong}. Fetch the file again.")
        backend.normalizer = normalizers.Precompiled(stored)
    return backend


def _words(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Word pieces: the file marks what begins a word, BERT what does not. No metadata says whether letters keep their
    case: a vocabulary with capitals in it was made of texts that did."""
    pieces = []
    kinds = described.get("token_type", [1] * len(described["tokens"]))
    for token, kind in zip(described["tokens"], kinds, strict=True):
        whole = kind == CONTROL or (token.startswith("[") and token.endswith("]"))
        pieces.append(token if whole else token.removeprefix(PHANTOM) if token.startswith(PHANTOM) else f"##{token}")
    unknown = pieces[source.whole("tokenizer.ggml.unknown_token_id", 100)]
    vocabulary = {piece: index for index, piece in reversed(list(enumerate(pieces)))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    cased = any(CAPITAL.search(piece) for piece in pieces if not piece.startswith("["))
    backend.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


BUILDERS: Mapping[str, Callable[[Source, dict[str, Any]], Tokenizer]] = {
    "gpt2": _bytes, "llama": _pieces, "t5": _pieces, "gemma4": _pieces, "bert": _words,
}  # fmt: skip
"""Value of `tokenizer.ggml.model` -> what builds it."""


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
