"""What builds a tokenizer of each kind of vocabulary: byte pairs, sentencepiece, unigrams, word pieces."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hugging_face.telling import once
from nexus_torch.hugging_face.text.charsmaps import fault_of
from nexus_torch.hugging_face.text.vocabulary import check_merges
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers.integrations.gguf import gguf_tokenizer_mapping as official

from .pretokenizers import BY_NAME, COMPOSED, SPACED, WHOLE_WORDS_FIRST
from .source import Source

PHANTOM = "\u2581"
"""What stands before a piece that begins a word."""
OF_OLD: Mapping[str, str] = {
    "gpt2": "gpt-2", "phi2": "gpt-2", "gptneox": "mpt", "mpt": "mpt", "falcon": "falcon", "starcoder": "starcoder",
    "starcoder2": "starcoder", "bloom": "bloom", "qwen2": "qwen2", "qwen2moe": "qwen2", "command-r": "command-r",
    "olmo": "olmo", "dbrx": "dbrx",
}  # fmt: skip
"""Architecture -> the one way in which its models of before May 2024 cut text."""
CAPITAL = re.compile("[A-Z]")
OF_NONE, CONTROL, OF_THE_USER, BYTE = 2, 3, 4, 6
"""Types of tokens, `llama_token_type`."""
UNKNOWN = 2
"""The id of what is no token where a file of unigrams neither names nor marks it, as llama.cpp takes it."""
BLANK, BLANKS, PADDING = "<extra_id_", 100, re.compile(r"\[PAD\d+\]")


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
    if kind in COMPOSED:
        backend.normalizer = normalizers.NFC()
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
            if kind == wanted and token and backend.token_to_id(token) is not None
        ]
        backend.add_special_tokens(found) if special else backend.add_tokens(found)


def _pieces(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Sentencepiece with scores, and Gemma's: as transformers builds them, but that a text which begins with a space
    gets its own before it, as sentencepiece and llama.cpp do; and without the tokens that transformers' classes add to
    every vocabulary, whose ids would lie behind the file's own."""
    kind = described["tokenizer_type"]
    made = official.select_tokenizer_builder(source.architecture, kind)(described).backend_tokenizer
    backend = Tokenizer(made.model)
    backend.normalizer, backend.pre_tokenizer, backend.decoder = made.normalizer, made.pre_tokenizer, made.decoder
    if kind == "llama" and source.architecture not in official.GGUF_SENTENCEPIECE_BUILDERS:
        spaces = normalizers.Replace(pattern=" ", content=PHANTOM)
        before = [normalizers.Prepend(prepend=PHANTOM)] if source.get("tokenizer.ggml.add_space_prefix", True) else []
        backend.normalizer, backend.pre_tokenizer = normalizers.Sequence([*before, spaces]), None
        if not before:                                      # no space that was put there is to be taken off again
            backend.decoder = _spaced()
    _add_special(backend, described)
    return backend


def _unigrams(source: Source, described: dict[str, Any]) -> Tokenizer:
    """Unigrams with scores: T5's, XLM-R's."""
    tokens, scores = _blanks(source, described), described.get("scores", ())
    kinds = list(described.get("token_type", ()))
    marked = kinds.index(OF_NONE) if OF_NONE in kinds else UNKNOWN
    unknown, in_bytes = source.whole("tokenizer.ggml.unknown_token_id", marked), BYTE in kinds
    backend = Tokenizer(models.Unigram(list(zip(tokens, scores, strict=True)), unk_id=unknown, byte_fallback=in_bytes))
    before = "always" if source.get("tokenizer.ggml.add_space_prefix", True) else "never"
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=PHANTOM, prepend_scheme=before),
    ])  # fmt: skip
    spaces = decoders.Metaspace(replacement=PHANTOM, prepend_scheme=before)
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), spaces]) if in_bytes else spaces
    charsmap = described.get("precompiled_charsmap")
    if isinstance(charsmap, (list, array)) and charsmap:
        stored = bytes(each & 0xFF for each in charsmap)
        if wrong := fault_of(stored):
            raise NexusError(f"The metadata 'tokenizer.ggml.precompiled_charsmap' {wrong}. Fetch the file again.")
        backend.normalizer = normalizers.Precompiled(stored)
    named = [each for each, old in zip(tokens, described["tokens"], strict=True) if each != old]
    backend.add_special_tokens([AddedToken(each, normalized=False, special=True) for each in named])
    _add_special(backend, described)
    return backend


def _blanks(source: Source, described: Mapping[str, Any]) -> list[str]:
    """The tokens, T5's blanks by their names: its converter calls `<extra_id_99>` to `<extra_id_0>`, which are in no
    file of sentencepiece, [PAD32000] and so on. Where they are tokens already (mT5, UMT5), paddings are none."""
    tokens: list[str] = list(described["tokens"])
    if source.architecture not in ("t5", "t5encoder") or any(BLANK in each for each in tokens):
        return tokens
    padding = [index for index, each in enumerate(tokens) if PADDING.fullmatch(each)][:BLANKS]
    for number, index in enumerate(padding):
        tokens[index] = f"{BLANK}{BLANKS - 1 - number}>"
    return tokens


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
    "gpt2": _bytes, "llama": _pieces, "t5": _unigrams, "gemma4": _pieces, "bert": _words,
}  # fmt: skip
"""Value of `tokenizer.ggml.model` -> what builds it."""
