"""Checks of descriptors: what a plugin yields, before anything of it is imported."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Any, Literal, get_type_hints

from ..components import Component, LossComponent, ReaderComponent, StageComponent, TowerComponent, resolve
from ..hooks import KINDS

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*|[a-z][a-z0-9]*(_[a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
RESOURCE = re.compile(r"[A-Za-z_]\w*:[\w./-]+")
REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,\s-]+\])?\s*([<>=!~]=?[^;]*)?(;.*)?")
RECORDS = ("logits", "states")
LONGEST_SUMMARY = 120


def descriptors(plugin: ModuleType) -> Mapping[str, Sequence[Component]]:
    """All that a plugin yields, by kind."""
    hooks = {kind: getattr(plugin, hook, None) for kind, (hook, _) in KINDS.items()}
    return {kind: tuple(hook() or ()) for kind, hook in hooks.items() if hook is not None}


def find(offered: Mapping[str, Sequence[Component]], kind: str, name: str) -> Component:
    """One descriptor, by kind and name."""
    names = {component.name: component for component in offered.get(kind, ())}
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    assert name in names, (
        f"The plugin yields no {kind} named '{name}'. {hint}It yields: {', '.join(sorted(names)) or 'none'}. "
        f"Yield it from `{KINDS[kind][0]}`, or correct `name` in the test class."
    )
    return names[name]


def check_descriptor(kind: str, component: Any) -> None:
    """Type, name, summary, target and requirements, and what the kind has of its own."""
    expected = KINDS[kind][1]
    assert isinstance(component, expected), (
        f"`{KINDS[kind][0]}` yielded a {type(component).__name__}. Yield a nexus_specs.{expected.__name__}."
    )
    _check_name(kind, component.name)
    _check_summary(kind, component)
    shape, example = (RESOURCE, "package:path/registry.yaml") if kind == "registry" else (TARGET, "module:attribute")
    assert shape.fullmatch(component.target), (
        f"The target '{component.target}' of {kind} '{component.name}' is not of the form '{example}'. Write it so."
    )
    for requirement in component.requires:
        assert REQUIREMENT.fullmatch(requirement), (
            f"'{requirement}' of {kind} '{component.name}' is no requirement. Write it as in PEP 508: 'av>=14'."
        )
    _check_own_fields(component)


def _check_name(kind: str, name: str) -> None:
    assert NAME.fullmatch(name), (
        f"The name '{name}' of a {kind} is neither kebab-case nor snake_case. "
        f"Use small letters and digits, joined by '-' or by '_' but not by both."
    )


def _check_summary(kind: str, component: Component) -> None:
    text = component.summary
    assert text.strip(), f"The {kind} '{component.name}' has no summary. Say in one sentence what it does."
    assert "\n" not in text and len(text) <= LONGEST_SUMMARY, (
        f"The summary of {kind} '{component.name}' has {len(text)} characters. "
        f"Use one line of at most {LONGEST_SUMMARY}: it is a row of `nexus list`."
    )
    assert not text[0].islower(), (
        f"The summary of {kind} '{component.name}' begins with a small letter: '{text}'. Begin with a capital."
    )


def _check_own_fields(component: Component) -> None:
    if isinstance(component, ReaderComponent):
        for suffix in component.suffixes:
            assert suffix.startswith(".") and suffix == suffix.lower(), (
                f"The suffix '{suffix}' of reader '{component.name}' matches no file. Write it as in '.jsonl'."
            )
    if isinstance(component, LossComponent):
        unknown = sorted(set(component.records) - set(RECORDS))
        assert not unknown, (
            f"The loss '{component.name}' wants the records {unknown}. `extract` has: {', '.join(RECORDS)}."
        )
    if isinstance(component, TowerComponent):
        assert component.takes and component.gives, (
            f"The tower '{component.name}' does not say what it takes and gives. "
            f"Name modalities, as in takes=('image',), gives=('label',): the router decides by them."
        )
    if isinstance(component, StageComponent):
        check_stage_fields(component)


def check_stage_fields(stage: StageComponent) -> None:
    """What a stage declares is something that exists."""
    allowed: dict[str, tuple[str, ...]] = {
        "scope": ("teacher", "core", "tower", "student"),
        "reads": ("train", "development", "held_out"),
        "uses": tuple(KINDS),
    }
    given = {"scope": (stage.scope,), "reads": stage.reads, "uses": tuple(use.partition(":")[0] for use in stage.uses)}
    for field, values in given.items():
        unknown = [value for value in values if value not in allowed[field]]
        assert not unknown, (
            f"The stage '{stage.name}' declares {field}={unknown}. Allowed: {', '.join(allowed[field])}."
        )
    assert stage.name not in stage.needs, (
        f"The stage '{stage.name}' needs itself. Take it out of `needs`: work goes one way."
    )


def check_target(kind: str, component: Component) -> None:
    """The target resolves to something callable, which takes the fields of the options as keywords."""
    if kind == "registry":
        return
    try:
        made = resolve(component.target)
    except (ImportError, AttributeError) as error:
        raise AssertionError(
            f"The target '{component.target}' of {kind} '{component.name}' does not resolve: {error}. "
            f"Correct the module or the attribute, or name what must be installed in `requires`."
        ) from error
    assert callable(made), (
        f"The target '{component.target}' of {kind} '{component.name}' is not callable. Name a class."
    )
    if kind not in ("dataset", "stage"):
        _check_keywords(component, made)


def _check_keywords(component: Component, made: Any) -> None:
    names = [field.name for field in dataclasses.fields(resolve(component.options))] if component.options else []
    try:
        inspect.signature(made).bind(**dict.fromkeys(names))
    except TypeError as error:
        raise AssertionError(
            f"'{component.target}' cannot be called with the fields of its options ({', '.join(names) or 'none'}): "
            f"{error}. Let each field of the options be a keyword of the target, with the same name."
        ) from error


def check_options(component: Component) -> None:
    """Options are a dataclass whose every field has a default and a help text. One without a default is a consent, of
    the type Literal[True]: a registry that does not write it is refused before anything runs."""
    if not component.options:
        return
    assert TARGET.fullmatch(component.options), (
        f"The options '{component.options}' of '{component.name}' are not of the form 'module:Dataclass'. Write it so."
    )
    kind = resolve(component.options)
    assert dataclasses.is_dataclass(kind), f"'{component.options}' is no dataclass. Decorate it with @dataclass."
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        assert not bare or hints[field.name] == Literal[True], (
            f"The option '{field.name}' of '{component.name}' has no default. Give it one, an empty one if the user "
            f"must choose, and raise a NexusError that says so when it is used. (For what a user must allow, the type "
            f"Literal[True] needs none.)"
        )
        assert field.metadata.get("help"), (
            f"The option '{field.name}' of '{component.name}' has no help. "
            f"Write `{field.name}: … = option({field.default!r}, help='…')`: it is what `nexus schema` shows."
        )
