"""Which weights a quantiser left as they were, by the names that its settings give.

The names are a stranger's: plain ones, globs, or regular expressions, of which none is run as it stands (one can take
for ever on a name of thirty letters). A pattern is cut at its ".*"; what lies between is short and has no loops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

SETTINGS = (
    "modules_to_not_convert", "llm_int8_skip_modules", "ignore", "ignored_layers", "exclude_modules", "exclude",
)  # fmt: skip
"""Entries of a quantization_config that list what is not quantised."""
EXPRESSION = "re:"
"""What a regular expression of compressed-tensors begins with."""
ANY = re.compile(r"\.\*\??|\*")
SAFE = re.compile(r"(?:[\w-]|\.|\\[.d-]|\\d\+|\[[\w-]+\]\+?|\((?:\?:)?(?:\w|\\?\.|\|)+\))*")
"""What may stand between two gaps: letters, digits, a class of them, a choice of words."""
MOST, LONGEST = 256, 200
"""Patterns with gaps that are looked at, and letters of one."""


def kept(settings: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether a weight stays as it was, by its full name ("model.layers.0.mlp.gate.weight")."""
    names = [each for name in SETTINGS for each in words(settings.get(name))]
    return named(names)


def named(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether one of these patterns means a name: its module, one above it, or one of that name anywhere."""
    plain, gapped = set(), []
    for each in patterns:
        if ANY.search(each) or each.startswith(EXPRESSION):
            gapped.append(each)
        else:
            plain.add(each)
    found = [pieces for each in gapped[:MOST] if (pieces := _pieces(each))]
    return lambda name: _among(name, plain) or any(_means(each, name) for each in found)


def words(value: Any) -> list[str]:
    """The words in a list; none in whatever else stands there."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, (list, tuple)) else []


def _among(name: str, plain: set[str]) -> bool:
    """Whether some steps of a path one after the other are one of these names."""
    steps = name.split(".")
    return any(
        ".".join(steps[first:last]) in plain for first in range(len(steps)) for last in range(first + 1, len(steps) + 1)
    )


def _pieces(pattern: str) -> list[re.Pattern[str]]:
    """What lies between a pattern's gaps; nothing of one that is not understood. A regular expression begins where a
    name begins; a glob may begin at any step."""
    text = pattern.removeprefix(EXPRESSION)
    if len(text) > LONGEST:
        return []
    free = text == pattern
    text = text.removeprefix("^")
    ends = text.endswith("$")
    parts = ANY.split(text.removesuffix("$"))
    if not all(SAFE.fullmatch(part) for part in parts):
        return []
    first = rf"(?:^|\.)(?:{parts[0]})" if free else f"^(?:{parts[0]})"
    last = r"(?=\.|$)" if free or ends else ""
    return [re.compile(each) for each in _ended([first, *(f"(?:{part})" for part in parts[1:])], last)]


def _ended(parts: Sequence[str], last: str) -> list[str]:
    return [*parts[:-1], parts[-1] + last]


def _means(pieces: Sequence[re.Pattern[str]], name: str) -> bool:
    """Whether the pieces come one after the other: each where it is found first."""
    at = 0
    for each in pieces:
        if (found := each.search(name, at)) is None:
            return False
        at = found.end()
    return True
