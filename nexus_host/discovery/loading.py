"""Loading one plugin: import, hooks, descriptors. Whatever goes wrong becomes a reason, and stops at this plugin."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator
from typing import Any

import pluggy
from nexus_specs import KINDS, PROJECT, Component, Hooks
from packaging.requirements import InvalidRequirement, Requirement

from ..words import did_you_mean
from .points import Point, misfit
from .records import Plugin, State

HOOKS = sorted(name for name in vars(Hooks) if name.startswith("nexus_"))
DESCRIPTORS = {descriptor for _, descriptor in KINDS.values()}
MOST = 10_000
"""Components that one hook may yield; one that never ends would stop every command."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:\S+")


class RejectedError(Exception):
    """A plugin that does not keep the contract, and why."""


def load(point: Point) -> Plugin:
    """The plugin of an entry point: loaded, incompatible or broken, with the reason."""
    if reason := misfit(point):
        return record(point, "incompatible", reason)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is data, also while a plugin prints as it is imported
            manager = _manager(point)
            components = tuple(_components(manager))
    except RejectedError as error:
        return record(point, "broken", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and whatever else a plugin invents
        return record(point, "broken", f"{type(error).__name__}: {error}".strip().rstrip(":"))
    return dataclasses.replace(record(point, "loaded"), components=components, manager=manager)


def record(point: Point, state: State, reason: str = "") -> Plugin:
    """The record of an entry point, without components."""
    return Plugin(
        name=point.entry.name,
        distribution=point.owner,
        version=point.version,
        state=state,
        reason=reason,
        module=point.entry.module,
        editable=point.editable,
    )


def _manager(point: Point) -> pluggy.PluginManager:
    found = point.entry.load()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    for name in _misspelt(found):
        raise RejectedError(f"there is no hook '{name}'.{did_you_mean(name, HOOKS)}")
    for name in HOOKS:
        if callable(getattr(found, name, None)) and manager.parse_hookimpl_opts(found, name) is None:
            raise RejectedError(f"'{name}' is not marked with @hookimpl, so it would never be called")
    manager.register(found, name=point.entry.name)
    return manager


def _misspelt(found: Any) -> Iterator[str]:
    """Hooks that nothing specifies, marked or merely named like one; pluggy alone would accept them silently."""
    manager = pluggy.PluginManager(PROJECT)
    for name in dir(found):
        marked = manager.parse_hookimpl_opts(found, name)
        meant = (marked and marked.get("specname")) or name
        alike = name.startswith("nexus_") and _own(found, name) and did_you_mean(name, HOOKS)
        if meant not in HOOKS and (marked is not None or alike):
            yield name


def _own(found: Any, name: str) -> bool:
    """Whether a function was written in the plugin itself, not imported into it."""
    value = getattr(found, name)
    return callable(value) and getattr(value, "__module__", None) == getattr(found, "__name__", "")


def _components(manager: pluggy.PluginManager) -> Iterator[tuple[str, Component]]:
    for kind, (hook, descriptor) in KINDS.items():
        for offered in getattr(manager.hook, hook)():
            if isinstance(offered, Component):
                raise RejectedError(f"{hook} returned one {type(offered).__name__}; yield it, or return a list")
            for number, component in enumerate(offered):
                if number == MOST:
                    raise RejectedError(f"{hook} yields more than {MOST} components")
                _check(hook, descriptor, component)
                yield kind, component


def _check(hook: str, descriptor: type[Component], component: Any) -> None:
    """Raises RejectedError for what is no descriptor of this kind, or one that cannot be used."""
    if not isinstance(component, descriptor) or type(component) in DESCRIPTORS - {descriptor}:
        raise RejectedError(f"{hook} yields {descriptor.__name__}, not {type(component).__name__} ({component!r:.80})")
    if not isinstance(component.name, str) or not NAME.fullmatch(component.name):
        raise RejectedError(f"{hook} yields the name {component.name!r}; use letters, digits, '-', '_' and '.'")
    if not isinstance(component.target, str) or not TARGET.fullmatch(component.target):
        raise RejectedError(f"target of '{component.name}' is {component.target!r}; write it as \"module:attr\"")
    for field in dataclasses.fields(component):
        value = getattr(component, field.name)
        if "tuple" in str(field.type) and not isinstance(value, tuple):
            raise RejectedError(f"{field.name} of '{component.name}' is {value!r}; write a tuple, as in ('core',)")
    for text in component.requires:
        try:
            Requirement(text)
        except InvalidRequirement:
            reason = f"requires of '{component.name}' holds {text!r}, which is no PEP 508 requirement"
            raise RejectedError(reason) from None
