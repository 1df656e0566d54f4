"""Pictures that a pipeline's call is given as conditions: what of its first latents they are, and who passes alone."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .drawing import DRAW, twin

ROUNDED = 8
"""Roundings in which what is blended out of a sum remains of it."""


def again(native: Callable[..., Any], pipe: Any, args: Sequence[Any], given: Mapping[str, Any]) -> Callable[[], Any]:
    """A second call of a pipeline's making of latents, to come after the first, that draws the opposite noise."""
    inner: Any = inspect.unwrap(native)
    draw = inner.__globals__.get(DRAW)
    opposite = {} if draw is None else {DRAW: lambda *shape, **how: -draw(*shape, **how)}
    made = twin(inner, **opposite)
    own, named = [_twin(each) for each in args], {name: _twin(each) for name, each in given.items()}
    return lambda: made(pipe, *own, **named)


def put_back(shown: Tensor, drawn: Tensor, opposite: Tensor) -> Tensor:
    """Noised latents, with the given frames as they are: what the noise has no part in (the first frame of LTX)."""
    apart, size = (drawn - opposite).abs(), torch.maximum(drawn.abs(), opposite.abs()).clamp(min=1)
    blended = apart <= ROUNDED * torch.finfo(drawn.dtype).eps * size    # by strengths of 1 and 0 (LTX 0.9.5)
    given = (drawn == opposite) | blended.all(-1, keepdim=True)
    return shown if bool(given.all()) else torch.where(given, drawn.to(shown.dtype), shown)


@cache
def apart(kind: type[Any]) -> bool:
    """Whether a pipeline encodes the pictures of a call one by one, as its source says: then each sample passes alone,
    for a layer of the VAE has the state of one at a time, and some take several pictures as those of one prompt."""
    own = [tree for each in vars(kind).values() if inspect.isfunction(each) for tree in _tree(each)]
    encoders = {tree.name for tree in own if any(_encodes(call, ()) for call in _calls(tree))}
    loops = (node for tree in own for node in ast.walk(tree)
             if isinstance(node, (ast.For, ast.ListComp, ast.GeneratorExp)))  # fmt: skip
    return any(_encodes(call, encoders) for loop in loops for call in _calls(loop))


@cache
def alone(kind: type[Any]) -> bool:
    """Whether what a pipeline makes of a sample depends on its company in the call, as its source says: it fills texts
    up to the longest (CogView 4), cuts them there (Kandinsky 3) or only one alone to its own length (Latte), encodes
    them one by one (Bria), draws with one generator for all (LTX-2), or takes one prompt (Wan VACE)."""
    return takes_one(kind) or any(
        _cuts(node) or _reads(node)
        for each in vars(kind).values() if inspect.isfunction(each) for tree in _tree(each) for node in ast.walk(tree)
    )  # fmt: skip


@cache
def takes_one(kind: type[Any]) -> bool:
    """Whether a pipeline's call refuses a list of prompts, be it of one."""
    checks = (ast.unparse(node.test) for tree in _tree(kind.__call__, called=True) for node in ast.walk(tree)
              if isinstance(node, ast.If) and any(isinstance(each, ast.Raise) for each in node.body))  # fmt: skip
    return any("not isinstance(prompt, str)" in each and "list" not in each for each in checks)


def _cuts(node: ast.AST) -> bool:
    """`mask.sum(-1).max()`, `emb.shape[0] == 1`, `generator[0]`, or words that are cut and padded to the longest."""
    if isinstance(node, ast.Compare):
        return bool(re.fullmatch(r"emb\w*\.shape\[0\] == 1", ast.unparse(node)))
    if isinstance(node, ast.Subscript):
        return ast.unparse(node) == "generator[0]"
    if not isinstance(node, ast.Call):
        return False
    given = {each.arg: each.value for each in node.keywords}
    padding = [each.value for each in ast.walk(given.get("padding", node.func)) if isinstance(each, ast.Constant)]
    longest = "truncation" in given and any(each is True or each == "longest" for each in padding)
    return longest or bool(re.fullmatch(r"\w*mask\.sum\(.*\)\.max\(\)", ast.unparse(node)))


def _reads(node: ast.AST) -> bool:
    """A loop over prompts that calls an encoder of text."""
    if not isinstance(node, ast.For) or not re.fullmatch(r"prompts?", ast.unparse(node.iter)):
        return False
    return any(re.search(r"\btext_encoder\w*$", ast.unparse(each.func)) for each in ast.walk(node)
               if isinstance(each, ast.Call))  # fmt: skip


def _tree(function: Any, *, called: bool = False) -> Iterator[ast.FunctionDef]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    except (OSError, TypeError, SyntaxError):
        return
    if isinstance(tree, ast.FunctionDef) and (called or tree.name != "__call__"):   # its loop is that of timesteps
        yield tree


def _calls(node: ast.AST) -> Iterator[ast.Attribute]:
    """What is called in it, where that is somebody's method."""
    yield from (each.func for each in ast.walk(node) if isinstance(each, ast.Call)
                and isinstance(each.func, ast.Attribute))  # fmt: skip


def _encodes(called: ast.Attribute, encoders: Sequence[str] | set[str]) -> bool:
    """`self.vae.encode`, or a method of the pipeline's own that asks that."""
    of = called.value
    if isinstance(of, ast.Attribute):
        return called.attr == "encode" and not of.attr.startswith("tokenizer")
    return isinstance(of, ast.Name) and of.id == "self" and called.attr in encoders


def _twin(value: Any) -> Any:
    """An argument for a second call: a generator that stands where the first call's stood."""
    if isinstance(value, torch.Generator):
        return value.clone_state()
    return [_twin(each) for each in value] if type(value) is list else value
