"""Plain data to cards: what pydantic finds wrong, in words for people, and a model of what is left for later checks."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..words import did_you_mean, listed
from .cards import ComponentRef, DataCard, LossCard, RegistryModel, RunCard, StudentCard, TeacherCard, TowerCard
from .problems import Path, Problem

SECTIONS: dict[str, type[BaseModel]] = {
    "teachers": TeacherCard,
    "towers": TowerCard,
    "losses": LossCard,
    "data": DataCard,
    "student": StudentCard,
    "run": RunCard,
}
SCOPES: dict[type[BaseModel], tuple[str, ...]] = {
    TeacherCard: ("teacher",),
    TowerCard: ("tower",),
    StudentCard: ("core", "student"),
    RunCard: ("teacher", "core", "tower", "student"),
}
"""Card -> what the stages work on of which it holds options."""
MISSING = "missing"
WORDS = {
    "string_type": "write text, in quotes if it looks like a number",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "dict_type": "write a mapping, as in {key: value}",
    "model_type": "write a mapping, as in {key: value}",
    "tuple_type": "write a list, as in [one, two]",
    "string_too_short": "write something",
    "finite_number": "write a finite number",
}
LIMITS = {
    "greater_than_equal": "write at least {ge:g}",
    "greater_than": "write more than {gt:g}",
    "less_than_equal": "write at most {le:g}",
    "less_than": "write less than {lt}",
}


@dataclass(frozen=True)
class Shaped:
    """The model of what is right in the data, what is wrong in it, and where the losses that are right stood."""

    model: RegistryModel
    problems: list[Problem]
    losses: list[int]


def validate(data: Any) -> Shaped:
    """The model and every mistake in the data's shape. What is wrong is left out of the model, so that one mistake
    hides no other."""
    data = {} if data is None else data
    errors = _errors(data)
    problems: dict[Path, Problem] = {}
    for each in errors:
        path = real_path(each["loc"], data)
        if path in problems:  # another branch of a union
            problems[path] = Problem(path, f"{problems[path].message.rstrip('.')}, or {_hint(each)}")
        else:
            problems[path] = Problem(path, _message(each, path))
    rest, losses = _rest(data, errors)
    return Shaped(RegistryModel.model_validate(rest), list(problems.values()), losses)


def _errors(data: Any) -> list[ErrorDetails]:
    try:
        RegistryModel.model_validate(data)
    except ValidationError as error:
        return error.errors()
    return []


def _rest(data: Any, errors: list[ErrorDetails]) -> tuple[dict[str, Any], list[int]]:
    """The data of which nothing is wrong, and where its losses stood."""
    if not isinstance(data, dict):
        return {}, []
    data = copy.deepcopy(data)
    losses = list(range(len(data["losses"]))) if isinstance(data.get("losses"), list) else []
    while errors:
        missing = {real_path(each["loc"], data) for each in errors if each["type"] == "missing"}
        paths = {real_path(each["loc"], data) for each in errors} - missing
        for path in missing:
            _fill(data, path)
        gone = [_remove(data, path) for path in sorted(paths, key=_order, reverse=True)]  # so positions stay right
        for path in gone:
            if len(path) == 2 and path[0] == "losses":
                del losses[int(path[1])]
        errors = _errors(data) if missing or any(gone) else []
    return data, losses if "losses" in data else []


def _fill(data: Any, path: Path) -> None:
    """Puts a name where one is missing, so that the rest of its card is checked all the same."""
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = MISSING


def _order(path: Path) -> list[tuple[bool, int, str]]:
    return [(isinstance(part, str), part if isinstance(part, int) else 0, str(part)) for part in path]


def _remove(data: Any, path: Path) -> Path:
    """Takes out a value. Its path; () where nothing is there."""
    if not path:
        return ()
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]
    return path


def real_path(location: tuple[int | str, ...], data: Any) -> Path:
    """A path of pydantic's, less the names of a union's branches; one step beyond the data for what is missing."""
    path: Path = ()
    for index, part in enumerate(location):
        if isinstance(data, dict) and str(part) in data:
            path, data = (*path, str(part)), data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path, data = (*path, part), data[part]
        else:
            return (*path, part) if index + 1 == len(location) and isinstance(data, dict) and part != "[key]" else path
    return path


def card_at(path: Path) -> type[BaseModel]:
    """The card that the last key of a path belongs to."""
    if len(path) <= 1:
        return RegistryModel
    depth = 2 if path[0] in ("student", "run") else 3
    return SECTIONS[str(path[0])] if len(path) <= depth else ComponentRef


def _message(error: ErrorDetails, path: Path) -> str:
    card, written = card_at(path), error["input"]
    if error["type"] == "extra_forbidden":
        known, name = card.model_fields, str(path[-1])
        of_run = name in RunCard.model_fields and card in SECTIONS.values()
        hint = f" It stands in run: `run.{name}`." if of_run else did_you_mean(name, known)
        return f"unknown field.{hint} Allowed: {listed(known)}."
    if error["type"] == "missing":
        about = card.model_fields[str(path[-1])].description
        return f"is missing{': ' + about if about else ''}"
    if error["type"] == "literal_error":
        return _choice(error, str(written)) + _other_field(card, str(path[-1]), written)
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error", error["msg"]))
    return f"is {written!r:.60}; {_hint(error)}{_as_number(written) if error['type'] == 'float_type' else ''}"


def _hint(error: ErrorDetails) -> str:
    if error["type"] in LIMITS:
        return LIMITS[error["type"]].format(**error["ctx"])
    return WORDS.get(error["type"]) or "it should be " + error["msg"].removeprefix("Input should be ")


def _as_number(written: Any) -> str:
    """The number that a text means: a percentage, or digits in quotes."""
    percent = isinstance(written, str) and written.rstrip().endswith("%")
    try:
        number = float(written.rstrip().rstrip("%")) if isinstance(written, str) else math.nan
    except ValueError:
        return ""
    return f", as in {number / 100 if percent else number:g}" if math.isfinite(number) else ""


def _choice(error: ErrorDetails, written: str) -> str:
    allowed = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    if written in allowed:
        return f"is the text '{written}'; write {written} without quotes"
    return f"is '{written}'; allowed: {listed(allowed)}.{did_you_mean(written, allowed)}"


def _other_field(card: type[BaseModel], field: str, written: Any) -> str:
    """The field beside this one in which a value is right."""
    value = str(written).lower()
    for name, other in card.model_fields.items():
        kinds = [other.annotation, *get_args(other.annotation)]
        if name != field and any(value in get_args(kind) for kind in kinds):
            return f" That belongs into another field: `{name}: {value}`."
    return ""
