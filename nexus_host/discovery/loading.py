"""Loading one plugin: import, hooks, descriptors. Whatever goes wrong becomes a reason, and stops at this plugin."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pluggy
from nexus_specs import KINDS, PROJECT, Component, Hooks
from packaging.requirements import InvalidRequirement, Requirement

from ..words import did_you_mean, listed
from .points import Point, misfit
from .records import Plugin, State

HOOKS = sorted(name for name in vars(Hooks) if name.startswith("nexus_"))
DESCRIPTORS = {descriptor for _, descriptor in KINDS.values()}
MOST = 10_000
"""Components that one hook may yield; one that never ends would stop every command."""
_LONGEST = 300
"""Characters of a reason."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:\S+")


class RejectedError(Exception):
    """A plugin that does not keep the contract, and why."""


def load(point: Point) -> Plugin:
    """The plugin of an entry point: loaded, incompatible or broken, with the reason."""
    if point.damage:
        return record(point, "broken", point.damage)
    if not point.module:
        return record(point, "broken", f"its entry point is '{point.entry.value}'; name a module, as in acme.plugin")
    if reason := misfit(point):
        return record(point, "incompatible", reason)
    began = time.perf_counter()
    try:
        with _stdout_aside():
            manager = _manager(point)
            components = tuple(_components(manager))
    except RejectedError as error:
        return record(point, "broken", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and whatever else a plugin invents
        return record(point, "broken", _words(error))
    found = dataclasses.replace(record(point, "loaded"), components=components, manager=manager)
    return dataclasses.replace(found, seconds=time.perf_counter() - began)


@contextlib.contextmanager
def _stdout_aside() -> Iterator[None]:
    """Sends what is printed to stderr, since stdout is data, also while a plugin prints as it is imported. The stream
    is a copy: one that a plugin wraps or closes takes neither stdout nor stderr with it."""
    aside = sys.stderr
    with contextlib.suppress(OSError, ValueError, AttributeError):
        aside = os.fdopen(os.dup(sys.stderr.fileno()), "w", errors="replace")
    try:
        with contextlib.redirect_stdout(aside):
            yield
    finally:
        if aside is not sys.stderr:
            with contextlib.suppress(OSError, ValueError):  # what became of it is the plugin's affair
                aside.close()


def _words(error: BaseException) -> str:
    """An error of a plugin's in one line that a table holds."""
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"


def record(point: Point, state: State, reason: str = "") -> Plugin:
    """The record of an entry point, without components."""
    return Plugin(
        name=point.entry.name,
        distribution=point.owner,
        version=point.version,
        state=state,
        reason=reason,
        module=point.module,
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
        if unknown := _unknown_arguments(found, name):
            raise RejectedError(f"'{name}' takes {listed(unknown)}; it is given {listed(_arguments(Hooks, name))}")
    manager.register(found, name=point.entry.name)
    return manager


def _arguments(found: Any, name: str) -> list[str]:
    """Arguments that a hook has to be given; those with a default and `**more` are its own affair."""
    function = getattr(found, name, None)
    known = inspect.signature(function).parameters.values() if callable(function) else ()
    wanted = [each.name for each in known if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    return [each for each in wanted if each != "self"]


def _unknown_arguments(found: Any, name: str) -> list[str]:
    """Arguments of a hook that nobody would give it."""
    known = _arguments(Hooks, name)
    return [each for each in _arguments(found, name) if each not in known]


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
        try:
            yield from ((kind, component) for component in _offered(manager, hook, descriptor))
        except RejectedError:
            raise
        except Exception as error:
            raise RejectedError(f"{hook} failed: {_words(error)}") from error


def _offered(manager: pluggy.PluginManager, hook: str, descriptor: type[Component]) -> Iterator[Component]:
    for offered in getattr(manager.hook, hook)():
        if isinstance(offered, Component):
            raise RejectedError(f"{hook} returned one {type(offered).__name__}; yield it, or return a list")
        if not isinstance(offered, Iterable):
            raise RejectedError(f"{hook} returned {offered!r:.40}; yield {descriptor.__name__}, or return a list of it")
        for number, component in enumerate(offered):
            if number == MOST:
                raise RejectedError(f"{hook} yields more than {MOST} components")
            _check(hook, descriptor, component)
            yield component


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
    if not isinstance(component.summary, str) or not component.summary.strip():
        raise RejectedError(f"summary of '{component.name}' is {component.summary!r:.40}; say in words what it is")
    for text in component.requires:
        try:
            Requirement(text)
        except InvalidRequirement:
            reason = f"requires of '{component.name}' holds {text!r}, which is no PEP 508 requirement"
            raise RejectedError(reason) from None
