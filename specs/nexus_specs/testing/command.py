"""Checks of commands: flags that a terminal can give, an exit code, words instead of a traceback."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..components import Component, resolve
from ..installed import Installed
from ..work import Lookup, NexusError
from .base import ComponentTests

SIMPLE = (str, int, float, bool, Path)


def check_flags(component: Component) -> None:
    """Each option is of a type that a flag can have."""
    if not component.options:
        return
    kind = resolve(component.options)
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        assert _simple(hints[field.name]), (
            f"The option '{field.name}' of command '{component.name}' is a {hints[field.name]}. "
            f"Use str, int, float, bool, Path, a Literal of them, or a tuple of one of them: it becomes a flag."
        )


def _simple(hint: Any) -> bool:
    inner = [kind for kind in get_args(hint) if kind not in (Ellipsis, type(None))]
    if hint in SIMPLE:
        return True
    return bool(inner) and all(kind in SIMPLE or isinstance(kind, SIMPLE) for kind in inner) and _container(hint)


def _container(hint: Any) -> bool:
    origin = get_origin(hint)
    return origin in (tuple, list, Union) or "Literal" in str(origin) or "UnionType" in str(origin)


def check_callable(made: Any) -> None:
    """It is made with its options and then called with a lookup."""
    assert callable(made), (
        "The command, made with its options, cannot be called. Write a class whose `__init__` takes the options and "
        "whose `__call__(self, lookup) -> int` does the work."
    )


def check_code(run: Callable[[Lookup], int], lookup: Lookup) -> int:
    """An exit code, returned."""
    try:
        code: Any = run(lookup)
    except SystemExit as error:
        raise AssertionError(
            f"The command raised SystemExit({error.code}). Return the exit code instead; the host leaves with it."
        ) from error
    assert isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 125, (
        f"The command returned {code!r}. Return an exit code: 0 if all is well, another one up to 125 if not."
    )
    return code


def check_good(run: Callable[[Lookup], int], lookup: Lookup) -> None:
    """0."""
    code = check_code(run, lookup)
    assert code == 0, f"The command returned {code} for options that are right. Return 0 when all went well."


def check_wrong(make: Callable[[], Callable[[Lookup], int]], lookup: Lookup) -> None:
    """Refused in words: a NexusError with a sentence, or an exit code that is not 0."""
    try:
        code = check_code(make(), lookup)
    except NexusError as error:
        assert len(str(error).split()) >= 4, (
            f"The error says '{error}'. Say what was wrong, where, what is allowed, and what to type next."
        )
        return
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"Options that are wrong raised {type(error).__name__}: {error}. Raise a NexusError that says what to type."
        ) from error
    assert code != 0, "The command returned 0 for options that are wrong. Return another code, or raise a NexusError."


class CommandTests(ComponentTests):
    """A command."""

    kind = "command"

    def lookup(self) -> Lookup:
        """What it is called with."""
        return Installed()

    def good(self) -> Mapping[str, Any] | None:
        """Options with which it does its work."""
        return None

    def wrong(self) -> Mapping[str, Any] | None:
        """Options that a user may well give, and that cannot work."""
        return None

    def made(self, options: Mapping[str, Any]) -> Callable[[Lookup], int]:
        """The command, made."""
        command: Callable[[Lookup], int] = resolve(self.descriptor().target)(**options)
        return command

    def test_options_can_be_flags(self) -> None:
        check_flags(self.descriptor())

    def test_it_is_made_and_then_called(self) -> None:
        check_callable(self.made(self.options))

    def test_it_returns_zero(self) -> None:
        if (options := self.good()) is not None:
            check_good(self.made(options), self.lookup())

    def test_it_refuses_in_words(self) -> None:
        if (options := self.wrong()) is not None:
            check_wrong(lambda: self.made(options), self.lookup())
