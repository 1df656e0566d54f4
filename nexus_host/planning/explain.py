"""Why a unit has to run: what it is made of now, against what its latest artefact was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MISSING = object()
_LONGEST = 60


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every fact that changed, in words.

    >>> differences({"options": {"steps": 400}}, {"options": {"steps": 600}})
    ['options.steps 400 -> 600']
    """
    return list(dict.fromkeys(_walk(old, new, ())))


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _walk(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key))
    elif old != new:
        yield _said(path, old, new)


def _said(path: tuple[str, ...], old: Any, new: Any) -> str:
    name = _name(path)
    if old is _MISSING:
        return f"{name} is new"
    if new is _MISSING:
        return f"{name} is gone"
    if path[-1] == "version" or path[:-1] == ("components", "architectures"):
        return _version(str(old), str(new))
    if path[0] in ("inputs", "data", "source") or "sha256:" in f"{old}{new}":
        return f"{name} changed"
    return f"{name} {_short(old)} -> {_short(new)}"


def _version(old: str, new: str) -> str:
    """`nexus-x 0.1.0 (source 0123)`: another version or, where that is the same, other code."""
    before, after = old.partition(" (")[0], new.partition(" (")[0]
    return f"{before} -> {after}" if before != after else f"code of {after.partition(' ')[0]} changed"


def _name(path: tuple[str, ...]) -> str:
    first, rest = path[0], ".".join(path[1:])
    words = {"inputs": "input ", "components": "", "data": "data ", "source": "content of ", "card": ""}
    return f"{words[first]}{rest}" if first in words and rest else ".".join(path)


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(each) for each in value) or "none"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {each}" for key, each in value.items()) or "none"
    text = '""' if value == "" else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
