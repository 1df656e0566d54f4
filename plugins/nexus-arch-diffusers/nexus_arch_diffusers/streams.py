"""Blocks with two streams, of the text and of the picture: the picture's comes first.

Some blocks return (context, hidden states), and the last block of Stable Diffusion 3 has no context left. What looks
at a block (a tap, an edit) takes the first tensor; so in such blocks `forward`, and every hook, has the hidden states
first, and `__call__` puts them back into the order that the model expects.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any

from torch import nn

CONTEXT = ("encoder_hidden", "context", "text", "txt", "caption")
HIDDEN = ("hidden", "image", "img", "latent", "x", "sample")


def hidden_first(module: nn.Module, layers: Iterable[str]) -> None:
    """Lets those of the layers that return their context first return it last to whoever looks at them."""
    for path in layers:
        layer = module.get_submodule(path)
        if _context_first(type(layer)):
            layer.__class__ = _reordered(type(layer))


@cache
def _context_first(kind: type[nn.Module]) -> bool:
    """Whether a class's forward returns (context, hidden states), by the names in its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(kind.forward))))
    except (OSError, TypeError, SyntaxError):
        return False
    returned = [node.value.elts for node in ast.walk(tree)
                if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)]  # fmt: skip
    return any(
        len(values) > 1 and _named(values[0], CONTEXT) and _named(values[1], HIDDEN) for values in returned
    )


def _named(node: ast.expr, beginnings: tuple[str, ...]) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith(beginnings)


@cache
def _reordered(kind: type[nn.Module]) -> type[nn.Module]:
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return _swapped(kind.forward(self, *args, **kwargs))

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return _swapped(kind.__call__(self, *args, **kwargs))

    return type(kind.__name__, (kind,), {"forward": forward, "__call__": call, "__module__": kind.__module__})


def _swapped(output: Any) -> Any:
    return (output[1], output[0], *output[2:]) if isinstance(output, tuple) and len(output) > 1 else output
