"""How text is cut before byte pairs are merged, by the name in `tokenizer.ggml.pre`.

Source: `llm_tokenizer_bpe` and the names above it in llama.cpp's src/llama-vocab.cpp, in the spelling of the original
tokenizers (llama.cpp rewrites case-insensitive groups and classes of letters for its own engine).
"""

from __future__ import annotations

from collections.abc import Mapping

_ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = _ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _REST
_QWEN2 = _ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _REST
_QWEN35 = (
    _ENGLISH + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SLASHED = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}" + _SLASHED
)
_GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENGLISH}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENGLISH}?"
    r"|\p{N}{1,3}" + _SLASHED
)
_HAN_LESS_UPPER, _HAN_LESS_LOWER = _UPPER[:-1] + r"&&[^\p{Han}]]", _LOWER[:-1] + r"&&[^\p{Han}]]"
_KIMI = (
    r"[\p{Han}]+"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_HAN_LESS_UPPER}*{_HAN_LESS_LOWER}+{_ENGLISH}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_HAN_LESS_UPPER}+{_HAN_LESS_LOWER}*{_ENGLISH}?"
    r"|\p{N}{1,3}" + _REST
)
_CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
_CODE = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS = (r"\p{N}", _GPT2)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_THREES = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"

PATTERNS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "dbrx",
     "smaug-bpe", "chatglm-bpe", "glm4", "glm5"): (_LLAMA3,),
    ("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"):
        (_QWEN2,),
    ("ufakzeka",): (_QWEN2.removeprefix(_ENGLISH + "|"),),
    ("laguna",): (r"[^\n]+|\n+", _QWEN2),
    ("qwen35",): (_QWEN35,),
    ("gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert",
     "mpt", "olmo", "jais", "trillion", "granite-docling", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4"):
        (_GPT2,),
    ("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"): _DIGITS,
    ("falcon",): (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]"),
    ("tekken",): (_TEKKEN,),
    ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"): (_GPT4O,),
    ("tiny_aya", "cohere2moe"): (r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"): (r"\p{N}{1,3}", _CJK, _CODE),
    ("spark2_5",): (r"\p{N}{1,3}", _CJK, _CODE.replace(r"+[\r\n]*|\s*[\r\n]+|", r"+|[\r\n]|"), r"\p{N}"),
    ("deepseek-coder",): ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"),
    ("deepseek-llm",): ("[\r\n]", r"\s?[\p{Lu}\p{Ll}\p{Lt}]+", "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$",
                        "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}+"),
    ("afmoe",): (_THREES, "[一-鿿㐀-䶿豈-\ufaff\u3040-ゟ゠-ヿ･-ﾟ\u2f00-\u2fdf\u0e00-\u0e7f\u0e80-\u0eff"
                 "\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff가-\ud7af\u1100-\u11ff]+", _CODE),
    ("bloom", "poro-chat", "gpt3-finnish"): (_BLOOM,),
    ("viking",): (_BLOOM, r"\p{N}"),
    ("seed-coder",): (_ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",),
    ("bailingmoe", "bailingmoe2", "llada-moe"): (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",),
    ("exaone-moe",): (_ENGLISH + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                      r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",),
    ("youtu",): ("[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，\u3001-\u303f\ufe30-\ufe4f]+|[ㄅ-ㄯ]+|" + _CJK,
                 _GPT4O.replace("{1,3}", "")),
    ("kimi-k2",): (_KIMI,),
    ("chameleon",): ("<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", r"\p{N}",
                     r"[\p{P}!-/:-@\[-`{-~]", _GPT2),
    ("jais-2",): (_ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                  r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)"
                  r"|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",),
    ("minicpm5",): (r"\p{N}{1,3}", _ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+" + _REST),
    ("superbpe",): (r"\p{N}+", r"(?=(\d{3})+(?!\d))"),
    ("default", ""): (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
}  # fmt: skip
WHOLE_WORDS_FIRST = frozenset({
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken",
    "glm4", "glm5", "youtu", "minicpm5", "granite-embed-multi-97m",
})  # fmt: skip
"""Where a word that is a token is one, whatever the merges say: `ignore_merges` in llama.cpp's vocabulary."""
STARTED = frozenset({
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken",
    "chameleon",
})  # fmt: skip
"""Where a text begins with the start token unless the file says otherwise (Llama 3's of spring 2024 say nothing):
`add_bos` in llama.cpp's vocabulary."""
SPACED = frozenset({"gemma4", "granite-embed-multi-311m", "sarvam-moe"})
"""Byte pairs of characters, not of bytes: a space is written as sentencepiece writes it, lines are cut alone."""
COMPOSED = frozenset({"qwen2", "qwen35", "command-r", "tiny_aya", "cohere2moe", "mpt", "olmo", "modern-bert"})
"""Where letters and their marks become one character first (NFC), as the tokenizers of Qwen, Cohere and GPT-NeoX (MPT,
OLMo, Mamba, ModernBERT) do and llama.cpp does not. Source: transformers' classes of these names."""
BY_NAME: Mapping[str, tuple[str, ...]] = {name: found for names, found in PATTERNS.items() for name in names}
"""Name -> patterns, each applied to what the ones before it left whole."""
