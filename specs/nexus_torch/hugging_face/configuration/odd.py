"""Entries of a configuration that its class was not made for: numbers of nothing, or what is no number.

transformers takes most of them: a model of no heads is built, and says that it has fewer parameters; another fails with
"integer modulo by zero", which names no entry. What a class declares, and what it takes where an entry is not there,
says which are meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from nexus_specs import NexusError
from transformers import PreTrainedConfig

from .limits import COMPILED, WHOLE

NOUGHT = re.compile(r"(\w+_)?(attention_heads|num_heads|n_heads?)|hidden_size|d_model|n_embd")
"""What no model has none of, where its class reads it."""
NAMED = re.compile(r"\w*(tokens?|ids?|labels?)(_\w+)?")
"""Entries that may be a number or a list of them."""
ROTARY = ("rope_parameters", "rope_scaling")
TURNS = re.compile(r"\w*(theta|factor|embeddings|freq|fast|slow)")
"""Numbers of rotary positions."""
FIELD = re.compile(r"[Ff]ield '")
"""In transformers' own reasons that name an entry."""
SHOWN = 3


def refuse_nothing(kind: type[PreTrainedConfig], values: Mapping[str, Any], place: str) -> None:
    """NexusError for a width or a number of heads that is 0, in a configuration or in one of its parts."""
    for path, value, field in _declared(kind, values):
        name = path.rpartition(".")[2]
        if type(value) is int and value == 0 and field.default != 0 and NOUGHT.fullmatch(name):
            raise NexusError(
                f"'{place}': {path} is 0; it is at least 1. No such model exists: the file is damaged or not a "
                "model's. Fetch config.json again from where the weights come from."
            )


def odd(kind: type[PreTrainedConfig], values: Mapping[str, Any], reason: str) -> str:
    """What stands there that the class was not made for, to follow a reason that names no entry; "" where nothing
    does."""
    if FIELD.search(reason):
        return ""
    found = [f"{path}: {_shown(value)}" for path, value, field in _declared(kind, values)
             if _is_odd(path.rpartition(".")[2], value, field)]  # fmt: skip
    for name in ROTARY:
        inner = values.get(name)
        for key, value in inner.items() if isinstance(inner, Mapping) else ():
            if TURNS.fullmatch(str(key)) and not _counts(value):
                found.append(f"{name}.{key}: {_shown(value)}")
    found = found or [f"{name}: {_shown(value)}" for name, value in values.items() if _is_no_count(str(name), value)]
    if not found and "NoneType" in reason:
        found = [f"{path}: null" for path, value, field in _declared(kind, values)
                 if value is None and isinstance(field.default, (int, float))]  # fmt: skip
    return f" It says `{'`, `'.join(found[:SHOWN])}`." if found else ""


def _declared(
    kind: type[PreTrainedConfig], values: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Path and value of each entry that a class declares, with what it declares, and those of its parts."""
    fields: Mapping[str, Any] = getattr(kind, "__dataclass_fields__", {})
    names: Mapping[str, str] = getattr(kind, "attribute_map", {}) or {}
    for name, value in values.items():
        field = fields.get(name) or fields.get(names.get(name, ""))
        part = (getattr(kind, "sub_configs", None) or {}).get(name)
        if isinstance(part, type) and isinstance(value, Mapping):
            yield from _declared(part, value, f"{path}{name}.")
        elif field is not None:
            yield f"{path}{name}", value, field


def _is_odd(name: str, value: Any, field: Any) -> bool:
    default = field.default
    if isinstance(default, bool) or not isinstance(default, (int, float, type(None))) or NAMED.fullmatch(name):
        return False
    if value is None:
        return default is not None and type(None) not in get_args(field.type)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default is not None                          # a text or a list in the place of a number
    return value < min(default or 0, 0) or (value == 0 and default != 0)


def _is_no_count(name: str, value: Any) -> bool:
    """Whether a count or a width, which no class need declare, is neither a whole number above 0 nor many of them."""
    if isinstance(value, list):
        return bool(WHOLE.fullmatch(name))
    return any(each.fullmatch(name) for each, _ in COMPILED) and (isinstance(value, float) or not _counts(value))


def _counts(value: Any) -> bool:
    """Whether it is a number above 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)[:40]
