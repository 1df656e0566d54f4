"""Special tokens that swallow the space beside them: no metadata says so, the names of models do.

Source: the end of `llama_vocab::impl::load` in llama.cpp's src/llama-vocab.cpp, and the tokenizers of these models.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer

from .source import Source

PHI3 = ("phi-3", "phi3")
NOT_OF_PHI3 = ("<unk>", "<s>", "<|endoftext|>")
MASKS = {"bert": "<mask>", "jina-bert-v3": "<mask>", "modern-bert": "[MASK]"}
"""Architecture -> the mask that takes the space before it: RoBERTa's, XLM-R's, ModernBERT's; BERT's is another."""
WHOLE = (2, 3, 4)
"""Types of tokens that stay whole, `llama_token_type`: unknown, control, of the user."""
OF_THE_USER = 4


def strip(source: Source, backend: Tokenizer, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    """Phi 3's tokens take the line's end behind them (`<|user|>\\nHello`), masks the space before them."""
    name = source.get("general.name", "")
    name = name.lower().replace(" ", "-") if isinstance(name, str) else ""
    if source.architecture == "phi3" and any(each in name for each in PHI3):
        for token, kind in zip(tokens, kinds, strict=False):
            if kind in WHOLE and token and token not in NOT_OF_PHI3:
                _again(backend, AddedToken(token, normalized=False, rstrip=True, special=kind != OF_THE_USER))
    mask = MASKS.get(source.architecture)
    if mask is not None and backend.token_to_id(mask) is not None:
        _again(backend, AddedToken(mask, normalized=False, lstrip=True, special=True))


def _again(backend: Tokenizer, token: AddedToken) -> None:
    backend.add_special_tokens([token]) if token.special else backend.add_tokens([token])
