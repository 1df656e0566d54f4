"""Dropout of what each layer adds to the residual stream, whatever the layer is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nexus_specs import Student
from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def dropout(students: Iterable[Student], rate: float) -> Iterator[None]:
    """While open, every layer of the students' stacks, in training, gives `input + dropout(output - input)`."""
    hooks = [layer.register_forward_hook(_hook(rate), with_kwargs=True) for layer in _layers(students)] if rate else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _layers(students: Iterable[Student]) -> list[nn.Module]:
    """Each layer once: students of one core share its layers."""
    found: dict[int, nn.Module] = {}
    for student in students:
        for path in (path for stack in student.blueprint.stacks for path in stack.layers):
            layer = student.module.get_submodule(path)
            found[id(layer)] = layer
    return list(found.values())


def _hook(rate: float) -> Any:
    def drop(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        before = inputs[0] if inputs else named.get("hidden_states")
        first = output[0] if isinstance(output, tuple) else output
        if not layer.training or not isinstance(before, Tensor) or before.shape != first.shape:
            return output
        dropped = before + functional.dropout(first - before, rate)
        return (dropped, *output[1:]) if isinstance(output, tuple) else dropped

    return drop
