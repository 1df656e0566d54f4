"""Translators that must be told both languages (NLLB, M2M-100, mBART-50): a sample names them beside its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nexus_specs import NexusError, Sample

SOURCE, TARGET = "source_language", "target_language"
"""Fields of a sample: codes as the tokenizer writes them ("eng_Latn", "en", "en_XX")."""


def languages(sample: Sample) -> tuple[str, str]:
    """The languages that a sample names; "" for one that it does not."""
    source, target = (sample.fields.get(name) for name in (SOURCE, TARGET))
    return str(source or ""), str(target or "")


@contextmanager
def spoken(samples: Sequence[Sample], tokenizer: Callable[[], Any], name: str) -> Iterator[None]:
    """The tokenizer marks texts and targets with the languages of these samples, and as before afterwards. NexusError
    for one that knows no languages, not these, or several in one batch."""
    pairs = {languages(sample) for sample in samples}
    if pairs == {("", "")} or not samples:
        yield
        return
    if len(pairs) > 1:
        raise NexusError(f"One batch of '{name}' has samples in several languages. Put those with the same together.")
    words, (pair,) = tokenizer(), pairs
    if not hasattr(words, "src_lang"):
        raise NexusError(
            f"The tokenizer of '{name}' ({type(words).__name__}) marks no languages: leave {SOURCE} and {TARGET} out, "
            'and write into the text what the model was taught ("<2de> ...", "translate English to German: ...").'
        )
    for each in filter(None, pair):
        language_id(words, each, name)
    before = words.src_lang, words.tgt_lang
    source, target = pair
    words.src_lang, words.tgt_lang = source or before[0], target or before[1]
    try:
        yield
    finally:
        words.src_lang, words.tgt_lang = before


def language_id(words: Any, code: str, name: str) -> int:
    """The token of a language. NexusError for one that the tokenizer has not."""
    known = getattr(words, "lang_code_to_id", None)
    if known:
        found = known.get(code)
    else:
        codes = getattr(words, "lang_code_to_token", None) or {}
        found = words.get_vocab().get(codes.get(code, code))
        known = codes or {each: 0 for each in words.all_special_tokens if "<" not in each}
    if found is None:
        shown = ", ".join(sorted(known)[:12])
        raise NexusError(f"'{name}' has no language '{code}'. Some that it has: {shown or 'none by name'}.")
    return int(found)
