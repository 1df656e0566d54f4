"""A tokenizer described in metadata, as a converter writes it, encodes as the one that it was made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from nexus_arch_gguf.builders import PHANTOM
from nexus_arch_gguf.pretokenizers import BY_NAME, SPACED, WHOLE_WORDS_FIRST
from nexus_arch_gguf.source import Source
from nexus_arch_gguf.tokenizer import tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "Once upon a time there was a little girl who lived in a house near the woods.",
    "The quick brown fox jumps over the lazy dog; it's 12345 times faster, isn't it?",
    "def add(first, second):\n    return first + second\n",
    "naïve café, 日本語のテキスト, Größe, русский текст",
] * 8
TEXTS = ("the little fox", " two  spaces", "a naïve 日本 text\nof 2 lines\n\n", "Größe 12345!", "it's")


def written(path: Path, kind: str, tokens: Sequence[str], **more: Any) -> Source:
    """A file with a vocabulary and one tensor."""
    writer = gguf.GGUFWriter(path, more.pop("architecture", "llama"))
    writer.add_tokenizer_model(kind)
    if pre := more.pop("pre", "default"):
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(list(tokens))
    for name, value in more.items():
        getattr(writer, f"add_{name}")(value)
    writer.add_tensor("token_embd.weight", np.zeros((1, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Source(path)


def by_number(made: Tokenizer) -> list[str]:
    """Its tokens in their order."""
    return [token for token, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]


def merges(made: Tokenizer) -> list[str]:
    """Its merges, as GGUF writes them."""
    return [" ".join(each) for each in json.loads(made.to_str())["model"]["merges"]]


def same(original: Tokenizer, found: Any) -> None:
    """The same tokens for every text, and back."""
    for text in TEXTS:
        ids = original.encode(text, add_special_tokens=False).ids
        assert found(text, add_special_tokens=False)["input_ids"] == ids, text
        assert found.decode(ids) == original.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("pre", ["gpt-2", "llama3", "qwen2", "deepseek-v3", "tekken", "laguna", "gpt-4o"])
def test_byte_pairs(pre: str, tmp_path: Path) -> None:
    original = Tokenizer(models.BPE(ignore_merges=pre in WHOLE_WORDS_FIRST))
    original.pre_tokenizer = pre_tokenizers.Sequence([
        *(pre_tokenizers.Split(Regex(each), behavior="isolated") for each in BY_NAME[pre]),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    original.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    original.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    more = {"pre": pre, "token_merges": merges(original), "token_types": [1] * original.get_vocab_size()}
    same(original, tokenizer(written(tmp_path / "v.gguf", "gpt2", by_number(original), **more)))


@pytest.mark.parametrize(
    ("pre", "said", "starts"),
    [("llama-bpe", None, True), ("tekken", None, True), ("chameleon", None, True), ("llama-bpe", False, False),
     ("qwen2", None, False), ("glm4", None, False), ("qwen2", True, True)],
)  # fmt: skip
def test_a_text_starts_as_its_way_of_cutting_says_where_the_file_does_not(
    pre: str, said: bool | None, starts: bool, tmp_path: Path
) -> None:
    """Files of Llama 3 of spring 2024 have no `add_bos_token`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    more = {"token_types": [1] * len(alphabet) + [3], "bos_token_id": len(alphabet), "pre": pre}
    more |= {} if said is None else {"add_bos_token": said}
    tokens = [*alphabet, "<s>"]
    found = tokenizer(written(tmp_path / "v.gguf", "gpt2", tokens, **more))
    assert (found("a")["input_ids"][0] == len(alphabet)) == starts


@pytest.mark.parametrize("pre", sorted(SPACED))
def test_pairs_of_characters(pre: str, tmp_path: Path) -> None:
    original = Tokenizer(models.BPE(byte_fallback=True))
    original.normalizer = normalizers.Replace(" ", PHANTOM)
    original.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]+|\n+"), behavior="isolated")
    original.decoder = decoders.Sequence([decoders.Replace(PHANTOM, " "), decoders.ByteFallback(), decoders.Fuse()])
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    original.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, special_tokens=bytes_))
    types = [6 if token in bytes_ else 1 for token in by_number(original)]
    more = {"pre": pre, "token_merges": merges(original), "token_types": types}
    found = tokenizer(written(tmp_path / "v.gguf", "gpt2", by_number(original), **more))
    for text in (*TEXTS, "unseen: ж€"):
        ids = original.encode(text, add_special_tokens=False).ids
        assert found(text, add_special_tokens=False)["input_ids"] == ids
        assert found.decode(ids) == text


def test_unigrams(tmp_path: Path) -> None:
    original = Tokenizer(models.Unigram())
    original.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    original.pre_tokenizer = pre_tokenizers.Metaspace()
    original.decoder = decoders.Metaspace()
    original.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, unk_token="<unk>", special_tokens=["<pad>", "</s>", "<unk>"])
    )
    pieces = json.loads(original.to_str())["model"]["vocab"]
    more = {"token_scores": [score for _, score in pieces], "token_types": [3, 3, 2] + [1] * (len(pieces) - 3),
            "unk_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    found = tokenizer(written(tmp_path / "v.gguf", "t5", [piece for piece, _ in pieces], architecture="t5", **more))
    for text in ("the little fox", "who lived in a house", "it's 12345 times"):
        assert found(text, add_special_tokens=False)["input_ids"] == original.encode(text).ids


@pytest.mark.parametrize("lowercase", [True, False])
def test_word_pieces(lowercase: bool, tmp_path: Path) -> None:
    """With a vocabulary that keeps the case of letters, as bert-base-cased has it, too."""
    original = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    original.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    original.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    original.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    original.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    marked = [
        token if token in special else token[2:] if token.startswith("##") else PHANTOM + token
        for token in by_number(original)
    ]
    types = [3 if token in special else 1 for token in marked]
    more = {"token_types": types, "unk_token_id": 1, "bos_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
    same(original, tokenizer(written(tmp_path / "v.gguf", "bert", marked, architecture="bert", **more)))


def test_names_belong_to_one_way() -> None:
    """No name is both cut by patterns and spaced; those that are whole words first are cut."""
    assert not SPACED & BY_NAME.keys()
    assert BY_NAME.keys() >= WHOLE_WORDS_FIRST


PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), PHANTOM, "a", f"{PHANTOM}a"]
"""A vocabulary of sentencepiece."""


@pytest.mark.parametrize("architecture", ["gemma3", "gemma3n", "gemma-embedding", "llama"])
def test_a_space_before_a_text_comes_back(architecture: str, tmp_path: Path) -> None:
    """Where none is put there, none is taken off."""
    more = {"token_types": [2, 3, 3] + [6] * 256 + [1] * 3, "token_scores": [0.0] * 259 + [-2.0, -3.0, -1.0]}
    source = written(tmp_path / "v.gguf", "llama", PIECES, architecture=architecture, add_space_prefix=False, **more)
    found = tokenizer(source)
    ids = found(" a", add_special_tokens=False)["input_ids"]
    assert ids == [len(PIECES) - 1]
    assert found.decode(ids) == " a"


@pytest.mark.parametrize(("architecture", "told"), [("llama", True), ("qwen2", False)])
def test_a_file_that_does_not_say_how_it_is_cut(architecture: str, told: bool, tmp_path: Path, capsys: Any) -> None:
    """Of before May 2024: as the architecture's models cut, or told."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    more = {"architecture": architecture, "pre": "", "token_types": [1] * (len(alphabet) + 1)}
    source = written(tmp_path / "v.gguf", "gpt2", [*alphabet, "12"], token_merges=["1 2"], **more)
    assert len(tokenizer(source)("12", add_special_tokens=False)["input_ids"]) == (1 if told else 2)
    assert ("does not say how text is cut" in capsys.readouterr().err) is told


def test_unigrams_end_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    tokens, more = ["<pad>", "</s>", "<unk>", PHANTOM, "a"], {"eos_token_id": 1, "unk_token_id": 2}
    source = written(tmp_path / "v.gguf", "t5", tokens, architecture="t5", token_scores=[0.0] * 5, **more)
    assert tokenizer(source)("a")["input_ids"][-1] == 1


@pytest.mark.parametrize(("name", "swallowed"), [("Phi3", True), ("Phi 3.5 Mini Instruct", True), ("Other", False)])
def test_special_tokens_of_phi_3_take_the_end_of_their_line(name: str, swallowed: bool, tmp_path: Path) -> None:
    """As its tokenizer does: `<|user|>\\nHello` has no token for the line's end. The start token takes nothing."""
    tokens = ["<unk>", "<s>", "</s>", "<|user|>", "<0x0A>", "a", PHANTOM, PHANTOM + "a"]
    more = {
        "architecture": "phi3", "name": name, "token_types": [2, 3, 3, 4, 6, 1, 1, 1],
        "token_scores": [0.0] * 5 + [-1.0, -2.0, -3.0], "add_bos_token": False,
    }  # fmt: skip
    found = tokenizer(written(tmp_path / "v.gguf", "llama", tokens, **more))
    assert found("<|user|>\na<s>\na")["input_ids"] == [3, *([7] if swallowed else [6, 4, 5]), 1, 6, 4, 5]


def test_the_mask_of_roberta_takes_the_space_before_it(tmp_path: Path) -> None:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "\u0120"]
    more = {"architecture": "bert", "pre": "gpt-2", "token_merges": [], "token_types": [3] * 5 + [1] * 2}
    found = tokenizer(written(tmp_path / "v.gguf", "gpt2", tokens, **more))
    assert found("a <mask> a", add_special_tokens=False)["input_ids"] == [5, 4, 6, 5]


@pytest.mark.parametrize("named", [True, False])
def test_what_is_no_token_of_unigrams_is_what_the_file_says(named: bool, tmp_path: Path) -> None:
    """XLM-R's is the fourth: transformers' own builder takes the third, its end token. And no text makes an id that
    the vocabulary has not, as T5's class would of `<extra_id_0>`."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", PHANTOM, "a", "[PAD6]"]
    more = {"token_scores": [0.0] * 4 + [-2.0, -3.0, -9.0], "token_types": [3, 3, 3, 2, 1, 1, 5]}
    more |= {"architecture": "bert"} | ({"unk_token_id": 3} if named else {})
    found = tokenizer(written(tmp_path / "v.gguf", "t5", tokens, **more))
    assert found("a \u00fc", add_special_tokens=False)["input_ids"] == [4, 5, 4, 3]
    assert max(found("<extra_id_0> a", add_special_tokens=False)["input_ids"]) < len(tokens)


def test_blanks_of_t5_have_their_names_unless_the_file_names_them(tmp_path: Path) -> None:
    """UMT5's vocabulary has them already, and paddings behind it."""
    tokens = ["<pad>", "</s>", "<unk>", PHANTOM, "a", "[PAD5]", "[PAD6]"]
    more = {"architecture": "t5", "token_scores": [0.0] * 7, "token_types": [3, 3, 2, 1, 1, 5, 5]}
    found = tokenizer(written(tmp_path / "a.gguf", "t5", tokens, **more))
    assert found("<extra_id_99>", add_special_tokens=False)["input_ids"] == [5]
    more["token_types"] = [3, 3, 2, 1, 1, 4, 5]
    found = tokenizer(written(tmp_path / "b.gguf", "t5", [*tokens[:5], "<extra_id_99>", "[PAD6]"], **more))
    assert found("<extra_id_99>", add_special_tokens=False)["input_ids"] == [5]
    assert found.convert_ids_to_tokens(6) == "[PAD6]"


@pytest.mark.parametrize("architecture", ["llama", "gemma"])
def test_sentencepiece_has_the_tokens_of_the_file_alone(architecture: str, tmp_path: Path) -> None:
    """transformers' classes add `<s>`, `<mask>` and the like behind every vocabulary: rows that no embedding has."""
    tokens = ["<unk>", "<begin>", "<end>", PHANTOM, *(f"<0x{each:02X}>" for each in range(256)), "a", "s"]
    more = {"token_scores": [0.0] * 260 + [-1.0, -2.0], "token_types": [2, 3, 3, 1] + [6] * 256 + [1, 1],
            "bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0}  # fmt: skip
    found = tokenizer(written(tmp_path / "v.gguf", "llama", tokens, architecture=architecture, **more))
    assert len(found) == len(tokens)
    assert max(found("<s> a <mask></s><bos><eos><pad>")["input_ids"]) < len(tokens)


@pytest.mark.parametrize(
    ("architecture", "pre", "composed"),
    [("llama", "qwen2", True), ("llama", "command-r", True), ("llama", "llama-bpe", False), ("gptneox", "", True),
     ("gpt2", "", False)],
)  # fmt: skip
def test_marks_become_one_with_their_letters_as_in_the_original(
    architecture: str, pre: str, composed: bool, tmp_path: Path
) -> None:
    """Texts of macOS and of many corpora are decomposed; llama.cpp leaves them so. Files of before May 2024 name no
    way."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    more = {"architecture": architecture, "pre": pre, "token_merges": [], "token_types": [1] * 256}
    found = tokenizer(written(tmp_path / "v.gguf", "gpt2", alphabet, **more))
    apart, one = (found(text, add_special_tokens=False)["input_ids"] for text in ("e\u0301", "\u00e9"))
    assert (apart == one) is composed
