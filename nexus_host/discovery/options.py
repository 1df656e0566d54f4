"""Options of a component: the fields of its dataclass, and what a user gave for them, checked and completed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nexus_specs import NexusError, resolve

from ..words import did_you_mean, listed

Problem = tuple[str, str]
"""(dotted path below the options, message)."""


@dataclass(frozen=True, kw_only=True)
class OptionField:
    """One field of an options dataclass, with what its metadata says."""

    name: str
    type: Any
    default: Any
    """The default; None where there is none and `required` is set."""
    required: bool = False
    help: str = ""
    flag: str = ""
    """A switch of `nexus run` ("--allow-below"); empty for most."""
    neutral: bool = False
    """Cannot change a result: left out of fingerprints."""
    location: bool = False
    """Names files: relative ones become absolute in the registry."""
    argument: bool = False
    """Of a command: positional."""
    low: float | None = None
    high: float | None = None

    @property
    def choices(self) -> tuple[Any, ...]:
        """The allowed values of a Literal, else ()."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def sort(self) -> str:
        """The type as a user knows it."""
        return listed(repr(each) for each in self.choices) if self.choices else _sort(self.type)


def read_fields(target: str) -> tuple[OptionField, ...]:
    """The fields of "module:Dataclass"; () for "". Raises NexusError where it is no dataclass or cannot be imported."""
    if not target:
        return ()
    try:
        kind = resolve(target)
        hints = get_type_hints(kind)
        return tuple(_field(each, hints[each.name]) for each in dataclasses.fields(kind))
    except (Exception, SystemExit) as error:
        raise NexusError(f"The options '{target}' cannot be read: {type(error).__name__}: {error}") from error


def _field(field: dataclasses.Field[Any], hint: Any) -> OptionField:
    known = {each.name for each in dataclasses.fields(OptionField)} - {"name", "type", "default", "required"}
    facts = {key: value for key, value in field.metadata.items() if key in known}
    missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if missing else _default(field)
    return OptionField(name=field.name, type=hint, default=default, required=missing, **facts)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def problems(fields: tuple[OptionField, ...], given: Mapping[str, Any]) -> list[Problem]:
    """Every mistake in the options that a user gave."""
    return list(_problems(fields, given))


def _problems(fields: tuple[OptionField, ...], given: Mapping[str, Any]) -> Iterator[Problem]:
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            yield name, f"unknown option.{did_you_mean(name, known)} Allowed: {listed(known)}."
    for field in fields:
        if field.name in given:
            yield from _value(field, given[field.name])[1]
        elif field.required:
            yield field.name, f"is missing; it is {field.sort}{': ' + field.help if field.help else ''}"


def complete(fields: tuple[OptionField, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options with the defaults filled in, in the types of the dataclass. The caller has looked for problems."""
    return {
        field.name: _value(field, given[field.name])[0] if field.name in given else field.default for field in fields
    }


def _value(field: OptionField, value: Any) -> tuple[Any, list[Problem]]:
    """The value in the field's type, or what is wrong with it."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if isinstance(value, bool) and field.type in (int, float):
        return None, [(field.name, f"is {value}; it is {field.sort}")]
    record = isinstance(field.type, type) and dataclasses.is_dataclass(field.type)
    settings = None if record else ConfigDict(arbitrary_types_allowed=True)
    try:
        found: Any = TypeAdapter(field.type, config=settings).validate_python(value)
    except ValidationError as error:
        return None, [_wrong(field, value, each) for each in error.errors()[:1]]
    return found, _range(field, found)


def _wrong(field: OptionField, value: Any, error: Any) -> Problem:
    path = ".".join([field.name, *(str(part) for part in error["loc"] if _names_item(part, value))])
    if field.choices:
        hint = did_you_mean(str(value), [str(each) for each in field.choices])
        return path, f"is {value!r}; allowed: {field.sort}.{hint}"
    return path, f"is {error['input']!r}; it is {field.sort} ({error['msg'][:1].lower()}{error['msg'][1:]})"


def _names_item(part: Any, value: Any) -> bool:
    """Whether a part of pydantic's path is one of the user's, not the name of a union's branch."""
    if isinstance(value, Mapping):
        return part in value
    return isinstance(part, int)


def _range(field: OptionField, value: Any) -> list[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        return [(field.name, f"is {value}; write a finite number")]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if field.low is not None and value < field.low:
            return [(field.name, f"is {value}; at least {field.low:g} is allowed")]
        if field.high is not None and value > field.high:
            return [(field.name, f"is {value}; at most {field.high:g} is allowed")]
    return []


def _sort(kind: Any) -> str:
    plain = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return plain.get(kind) or str(kind).replace("typing.", "").replace("collections.abc.", "").replace("pathlib.", "")
