"""Which model type a config.json means: the one that it names, or that of the class that it names.

Imports no torch: `match` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from .catalogue import model_types, tasks
from .trusting import is_remote

ALIKE: Mapping[str, str] = {"kimi_k2": "deepseek_v3"}
"""Model types of makers whose own program is that of another type, by its classes and its arithmetic -> that type.
Kimi K2 brings DeepSeek-V3's file along (https://huggingface.co/moonshotai/Kimi-K2-Instruct)."""


def model_type(values: Mapping[str, Any]) -> str:
    """The model type that transformers has for a parsed config.json; "" where it has none.

    One without a model type, as checkpoints of 2019 are, or of a type that transformers does not know, is read as what
    its class belongs to; but where it brings a program of its own, only if that is known to be the same."""
    named = values.get("model_type")
    if isinstance(named, str) and named in model_types():
        return named
    of_class = _types().get(_class(values), "")
    if is_remote(values):
        return of_class if of_class and ALIKE.get(str(named)) == of_class else ""
    return of_class


def way_out(values: Mapping[str, Any]) -> str:
    """What to write into a config.json whose own program need not run, since transformers has a class of that name; ""
    where it has none."""
    name = _class(values)
    if not (of_class := _types().get(name)):
        return ""
    return (
        f"\nIts class {name} is transformers' own, of the model type '{of_class}': where its makers changed nothing "
        f'in it, write "model_type": "{of_class}" into the config.json of a copy.'
    )


def _class(values: Mapping[str, Any]) -> str:
    """The first class that a config.json names."""
    found = values.get("architectures")
    first = found[0] if isinstance(found, list) and found else ""
    return first if isinstance(first, str) else ""


@cache
def _types() -> Mapping[str, str]:
    """Model class -> the model type that it is listed for: of several the one that it is called after."""
    found: dict[str, set[str]] = {}
    for entries in tasks().values():
        for named, classes in entries.items():
            for each in classes:
                found.setdefault(each, set()).add(named)
    return {name: min(sorted(types), key=lambda each: _distance(name, each)) for name, types in found.items()}


def _distance(name: str, named: str) -> tuple[bool, int]:
    """How far a model type is from the name of a class: a long beginning of it is nearest."""
    return not name.lower().startswith(re.sub(r"\W|_", "", named)), -len(named)
