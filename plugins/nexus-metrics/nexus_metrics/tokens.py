"""How translations are cut into what BLEU and chrF++ count: as mteval-v13a and sacrebleu (Post 2018, arXiv 1804.08771)
do, so that scores are those of papers. Ideographs and kana, which are written without spaces, count one by one."""

from __future__ import annotations

import re

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_APART = re.compile(
    "([\u2e80-\u2fdf\u3000-\u312f\u31a0-\u31ff\u3200-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
    "\U00020000-\U0002fa1f])"
)
"""Scripts without spaces: ideographs, kana, and the punctuation and wide forms that stand among them."""
_RULES = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),            # numbers keep their points and commas
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
MARKS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def international(text: str) -> list[str]:
    """Words, numbers and punctuation of BLEU.

    >>> international("It's 1,250.5 well-known words, he said."), international("我很好。")
    (["It's", '1,250.5', 'well-known', 'words', ',', 'he', 'said', '.'], ['我', '很', '好', '。'])
    """
    text = text.strip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, mark in _ENTITIES if "&" in text else ():
        text = text.replace(entity, mark)
    text = _APART.sub(r" \1 ", f" {text} ")
    for rule, parts in _RULES:
        text = rule.sub(parts, text)
    return text.split()


def trimmed(text: str) -> list[str]:
    """Words of chrF++: of each one mark is taken off, at its end or else at its beginning.

    >>> trimmed("don't (go).")
    ["don't", '(go)', '.']
    """
    return [part for word in text.split() for part in _parts(word)]


def _parts(word: str) -> tuple[str, ...]:
    if len(word) == 1:
        return (word,)
    if word[-1] in MARKS:
        return word[:-1], word[-1]
    return (word[0], word[1:]) if word[0] in MARKS else (word,)
