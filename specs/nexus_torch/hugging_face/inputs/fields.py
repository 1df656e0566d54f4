"""Which field of a preprocessor's files is not what it may be: asked where a library did not get on with them, whose
own words name no field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

from ..folder import parsed

Check = Callable[[Any], bool]
SIDES = ("left", "right")


def _text(value: Any) -> bool:
    """Half of a surrogate pair is none."""
    return value is None or (isinstance(value, str) and not re.search("[\ud800-\udfff]", value))


def _nothing(value: Any) -> bool:
    return value is None


def _token(value: Any) -> bool:
    return _text(value.get("content", ...)) if isinstance(value, Mapping) else _text(value)


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _listed(each: Check) -> Check:
    """A list of these; None is none."""
    return lambda value: isinstance(value, list) and all(one is not None and each(one) for one in value)


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _tokens(value: Any) -> bool:
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return value is None or _listed(_token)(inner)


def _added(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_mapping(each) and _token(each) for each in value.values())


def _names(value: Any) -> bool:
    """A tokenizer has two: slow and fast, one of which may be none."""
    every = [each if isinstance(each, list) else [each] for each in value.values()] if _mapping(value) else [[...]]
    return all(map(_text, (each for some in every for each in some)))


def _size(value: Any) -> bool:
    """An object may say of a side that it is free."""
    free = isinstance(value, Mapping)
    sides = list(value.values()) if isinstance(value, Mapping) else value
    some = sides if isinstance(sides, list) and sides else [sides or ""]
    return all((each is None and free) or (isinstance(each, int) and each > 0) for each in some)


NAME, TOKEN = "the name of a class", "a text, or an object with its `content`"
NUMBERS = "a number, or a list of numbers"
SIDE: tuple[str, Check, str] = (r"(padding|truncation)_side", lambda value: value in SIDES, "left or right")
MAPS: tuple[str, Check, str] = (r"auto_map", _names, "an object of the names of classes")
EXTRA: tuple[str, Check, str] = (
    r"(extra|additional)_special_tokens", _tokens, "a list of tokens, or an object of them"
)
TOKENIZER, PICTURES, GENERATION = (
    ("tokenizer_config.json", "special_tokens_map.json"), ("preprocessor_config.json",), "generation_config.json"
)
"""Files of a tokenizer, of what makes tensors of pictures and sounds, and of answers."""
RULES: Mapping[str, tuple[tuple[str, Check, str], ...]] = {
    "tokenizer_config.json": (
        MAPS, SIDE, EXTRA,
        (r"add_\w+_token|split_special_tokens|clean_up_tokenization_spaces", _switch, "true or false"),
        (r"\w+_token", _token, TOKEN),
        (r"tokenizer_class|processor_class", _text, NAME),
        (r"added_tokens_decoder", _added, "an object of tokens, each an object with its `content`"),
        (r"chat_template", _either(_text, _listed(_names)), "a text, or a list of objects with `name` and `template`"),
        (r"model_max_length", _number, "a number"),
        (r"model_input_names", _listed(_text), "a list of texts"),
    ),
    "special_tokens_map.json": (EXTRA, (r"\w+_token", _token, TOKEN)),
    "preprocessor_config.json": (
        MAPS,
        (r"(image_processor|feature_extractor)_type|processor_class", _text, NAME),
        (r"(crop_)?size", _size, "a whole number, or an object of them (height, width, shortest_edge ...)"),
        (r"image_(mean|std)", _either(_number, _listed(_number)), NUMBERS),
        (r"rescale_factor|sampling_rate", _number, "a number"),
        (r"resample", _whole, "the number of a filter of Pillow"),
        (r"do_\w+", _switch, "true or false"),
    ),
    "generation_config.json": (
        (r"\w+_token_id", _either(_whole, _listed(_whole)), "the number of a token, or a list of them"),
        (r"(begin_)?suppress_tokens", _either(_nothing, _listed(_whole)), "a list of numbers of tokens"),
        (r"stop_strings", _either(_text, _listed(_text)), "a text, or a list of texts"),
    ),
}  # fmt: skip
"""File -> pattern of the names of fields, what they may be, and how that is said."""


def check_fields(home: Path, *files: str) -> None:
    """NexusError that names the first field of these files that is not what it may be."""
    for file in files:
        if (home / file).is_file():
            check_values(str(home / file), file, parsed(home / file))


def check_values(place: str, file: str, values: Mapping[str, Any]) -> None:
    """NexusError that names the first field that is not what a file of this name may say there."""
    for name, value in values.items():
        rule = next((rule for rule in RULES[file] if re.fullmatch(rule[0], name)), None)
        if rule is not None and not rule[1](value):
            raise NexusError(
                f"'{place}' says {value!a:.80} for {name}; {rule[2]}. Mend it there, or fetch the file again from "
                "where the weights come from."
            )
