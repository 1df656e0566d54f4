"""A good command, and broken ones that the kit rejects with advice."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from nexus_specs import NexusError, option
from nexus_specs.testing import CommandTests


@dataclass
class Options:
    """Flags of the command."""

    name: str = option("", help="Whom to greet")
    times: int = option(1, help="How often")


@dataclass
class ObjectOption:
    """An option that no flag can give."""

    name: str = option("", help="Whom to greet")
    times: int = option(1, help="How often")
    extra: dict[str, Any] = field(default_factory=dict, metadata={"help": "More"})


class Good:
    """Greets."""

    def __init__(self, name="", times=1, **extra):
        self.name, self.times = name, times

    def __call__(self, lookup):
        if not self.name:
            raise NexusError("There is nobody to greet. Give a name: `nexus greet --name ADA`.")
        return 0


class NotCallable:
    def __init__(self, name="", times=1):
        self.name = name


class MissingKeyword:
    def __init__(self, name=""):
        self.name = name

    def __call__(self, lookup):
        return 0 if self.name else 2


class Exits(Good):
    def __call__(self, lookup):
        raise SystemExit(super().__call__(lookup))


class ReturnsNone(Good):
    def __call__(self, lookup):
        super().__call__(lookup)


class ReturnsTrue(Good):
    def __call__(self, lookup):
        return super().__call__(lookup) == 0


class FailsAlways(Good):
    def __call__(self, lookup):
        return super().__call__(lookup) or 3


class Silent(Good):
    def __call__(self, lookup):
        return 0


class Traceback(Good):
    def __call__(self, lookup):
        return len({"ADA": ""}[self.name])


class OneWord(Good):
    def __call__(self, lookup):
        if not self.name:
            raise NexusError("Invalid input")
        return 0


BROKEN = [
    (NotCallable, "whose `__call__(self, lookup) -> int` does the work"),
    (MissingKeyword, "Let each field of the options be a keyword"),
    (Exits, "Return the exit code instead"),
    (ReturnsNone, "Return an exit code: 0 if all is well"),
    (ReturnsTrue, "Return an exit code: 0 if all is well"),
    (FailsAlways, "Return 0 when all went well"),
    (Silent, "Return another code, or raise a NexusError"),
    (Traceback, "Raise a NexusError that says what to type"),
    (OneWord, "what is allowed, and what to type next"),
]


def made(suite, component, options=Options):
    return suite(
        CommandTests,
        component,
        declared={"options": f"{__name__}:{options.__name__}"},
        good=lambda self: {"name": "ADA"},
        wrong=lambda self: {"name": ""},
    )


def test_good_command_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_command_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)


def test_option_that_is_no_flag_is_rejected(suite, rejected):
    rejected(made(suite, Good, ObjectOption), "it becomes a flag")
