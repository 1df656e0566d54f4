"""Checks of stages: a stage uses what its descriptor declares, and its artefact is the same bytes each time."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..components import StageComponent, resolve
from ..models import Estimate
from ..work import NotDeclared, Stage
from .base import ComponentTests
from .context import LocalContext
from .student import digests

ASKS: Mapping[str, tuple[str, str]] = {
    "chosen": ("uses", "kind"),
    "choices": ("uses", "kind"),
    "make": ("uses", "kind"),
    "open": ("uses", "architecture"),
    "inspect": ("uses", "architecture"),
    "inputs": ("needs", "stage"),
    "samples": ("reads", "part"),
}
"""Method of the context -> the field of the descriptor that must name what it is asked for."""


def check_protocol(made: Any) -> None:
    """It runs and estimates."""
    for name in ("run", "estimate"):
        assert callable(getattr(made, name, None)), (
            f"The stage has no method `{name}`. Give it `{name}(context)`: the plan calls `estimate`, the run `run`."
        )


def check_declared(component: StageComponent, source: str) -> None:
    """What the source asks its context for, in so many words, the descriptor names."""
    declared: dict[str, set[str]] = {field: set(getattr(component, field)) for field in ("needs", "reads", "fields")}
    declared["uses"] = {use.partition(":")[0] for use in component.uses}
    for line, field, value in asked(ast.parse(source)):
        assert value in declared[field], (
            f"Line {line} of the stage '{component.name}' asks for '{value}', which its descriptor does not name. "
            f"Add it to `{field}`: what is not declared is not hashed, and the host refuses it."
        )
    records = any(isinstance(node, ast.Attribute) and node.attr == "records" for node in _of_context(ast.parse(source)))
    assert component.records or not records, (
        f"The stage '{component.name}' reads `context.records`. Declare `records=True`."
    )


def asked(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, field and value of every constant that is asked of a name `context`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_context(node.func.value):
            field, what = ASKS.get(node.func.attr, ("", ""))
            value = "architecture" if what == "architecture" else _constant(node)
            if field and value:
                yield node.lineno, field, value
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            inner = node.value
            if isinstance(inner, ast.Attribute) and inner.attr == "card" and _is_context(inner.value):
                yield node.lineno, "fields", str(node.slice.value)


def _of_context(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_context(node.value))


def _is_context(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("context", "ctx")


def _constant(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def check_options_reach_it(component: StageComponent) -> None:
    """Options come with the context, so the stage itself is made without any."""
    made = resolve(component.target)
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise AssertionError(
            f"'{component.target}' cannot be called without arguments: {error}. Read `context.options` in `run`."
        ) from error


def check_estimate(stage: Stage, context: LocalContext) -> None:
    """Before anything runs, from declared things."""
    found = stage.estimate(context)
    assert isinstance(found, Estimate), f"`estimate` gave a {type(found).__name__}. Return a nexus_specs.Estimate."
    assert not context.artefact.exists(), "`estimate` wrote an artefact. Write in `run` alone: the plan estimates."


def check_run(stage: Stage, context: LocalContext) -> dict[str, str]:
    """It asks for what it declared alone, and writes an artefact through `context.write`."""
    try:
        stage.run(context)
    except NotDeclared as error:
        raise AssertionError(str(error)) from error
    found = digests(context.artefact) if context.artefact.exists() else {}
    assert found, "The stage wrote no artefact. Write it with `with context.write(name) as path: …`."
    for name in found:
        text = (context.artefact / name).read_bytes()
        assert str(context.folder).encode() not in text, (
            f"'{name}' holds a path of this machine. Write names relative to the artefact: it will be moved and hashed."
        )
    return found


def check_repeatable(one: Mapping[str, str], other: Mapping[str, str]) -> None:
    """The same inputs, the same bytes."""
    changed = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    assert not changed, (
        f"A second run wrote other bytes into {', '.join(changed)}. Seed what is drawn with `context.seed`, sort keys, "
        f"and write no time."
    )


class StageTests(ComponentTests):
    """A stage: its declaration against its source, and, with a context, a tiny run of it."""

    kind = "stage"

    def context(self, folder: Path) -> LocalContext | None:
        """A context with all that the stage needs for a tiny case; called twice, with two folders."""
        return None

    def stage_descriptor(self) -> StageComponent:
        """The descriptor, as what it is."""
        found = self.descriptor()
        assert isinstance(found, StageComponent)
        return found

    def component(self) -> Stage:
        """The stage, made without arguments."""
        stage: Stage = resolve(self.descriptor().target)()
        return stage

    def test_it_is_made_without_arguments(self) -> None:
        check_options_reach_it(self.stage_descriptor())
        check_protocol(self.component())

    def test_it_declares_what_it_uses(self) -> None:
        made = resolve(self.descriptor().target)
        check_declared(self.stage_descriptor(), inspect.cleandoc("\n" + inspect.getsource(made)))

    def test_estimate_writes_nothing(self) -> None:
        if context := self.context(self.folder / "estimate"):
            check_estimate(self.component(), context)

    def test_run_writes_the_same_bytes_twice(self) -> None:
        contexts = [self.context(self.folder / name) for name in ("one", "two")]
        runs = [check_run(self.component(), context) for context in contexts if context]
        if runs:
            check_repeatable(*runs)
