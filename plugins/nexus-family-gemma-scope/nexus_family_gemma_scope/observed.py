"""An autoencoder on the model that it explains: it takes what the model takes, and gives features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Batch, Blueprint, Checkpoint, NexusError, Part, Sample, Signal, Stack
from torch import Tensor, nn

from .alone import LAYER, Scope, signal
from .autoencoder import ScopeOutput, SparseAutoencoder
from .layout import SITES, Place, known

NAME = "gemma_scope"
"""The name under which the autoencoder hangs in the model."""
GIVEN: ContextVar[ScopeOutput] = ContextVar("nexus_gemma_scope")
"""What the autoencoder gave last in this forward: an engine that streams has many forwards under way at once, each in
a greenlet, which has variables of this kind of its own."""


class ObservedCheckpoint:
    """Kind "checkpoint" of a model with an autoencoder in it. The model's own answer stays as it was."""

    def __init__(self, place: Place, model: Checkpoint) -> None:
        self.scope, self.model = Scope(known(place)), model
        self.stack = layers_of_text(model.blueprint, place)
        self.layer = self.stack.layers[place.layer]
        self.parts = tuple(self._parts())
        self.blueprint = self._blueprint()

    def skeleton(self) -> nn.Module:
        """The model's skeleton with the autoencoder in it. The output carries what the autoencoder gave as `scope`."""
        module = self.model.skeleton()
        dtype = next(parameter.dtype for parameter in module.parameters())
        module.add_module(NAME, SparseAutoencoder(self.scope.shapes).to(dtype))
        below, side = SITES[self.scope.place.site]
        self._width(module)
        watch(module, f"{self.layer}.{below}".rstrip("."), side)
        return module.eval()

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The autoencoder's names are its file's own; the rest is the model's."""
        if part.path == f"{NAME}.{LAYER}":
            return {f"{NAME}.{LAYER}.{key}": tensor for key, tensor in raw.items()}
        return self.model.assemble(part, raw)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The model's own."""
        return self.model.collate(samples)

    def read(self, output: Any, batch: Batch) -> Signal:
        """The autoencoder's features and reconstruction, and what the model's own head says."""
        own = self.model.read(output, batch)
        found = signal(output.scope, own.mask)
        return replace(own, outputs={**own.outputs, **found.outputs})

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """The strongest of each feature."""
        batch = self.collate(samples)
        return list(self.read(module(**batch), batch).outputs["embedding"])

    def save_preprocessor(self, folder: Path) -> None:
        """The model's."""
        self.model.save_preprocessor(folder)

    def _parts(self) -> Sequence[Part]:
        own = Part(path=f"{NAME}.{LAYER}", extents=self.scope.extents)
        at = [part.path for part in self.model.parts].index(self.layer) + 1
        return [*self.model.parts[:at], own, *self.model.parts[at:]]

    def _blueprint(self) -> Blueprint:
        model, own = self.model.blueprint, self.scope.stack(f"{NAME}.")
        return replace(
            model,
            family="gemma_scope_2",
            head=f"SparseAutoencoder on {model.head}",
            gives=("embedding",),
            stacks=(*model.stacks, own),
            parameters=model.parameters + self.scope.parameters,
            active_parameters=model.active_parameters + self.scope.parameters,
            bytes=model.bytes + own.layer_bytes[0],
        )

    def _width(self, module: nn.Module) -> None:
        width = self.stack.widths[self.scope.place.layer]
        if self.scope.place.site in ("resid_post", "mlp_out", "transcoder") and width not in (-1, self.scope.width):
            raise NexusError(
                f"The autoencoder reads states of width {self.scope.width}; {self.model.blueprint.head} has {width}. "
                f"It explains {self.scope.place.model or 'another model'}: name that one behind '#'."
            )


def layers_of_text(blueprint: Blueprint, place: Place) -> Stack:
    """The decoder's layers: the stack that says so, else the largest. NexusError where it has too few."""
    named = [stack for stack in blueprint.stacks if "language_model" in stack.path]
    stack = max(named or blueprint.stacks, key=lambda each: sum(each.layer_bytes))
    if place.layer >= stack.count:
        raise NexusError(
            f"The autoencoder reads layer {place.layer}, but '{stack.path}' of {blueprint.head} has {stack.count} "
            f"layers. It explains {place.model or 'another model'}: name that one behind '#'."
        )
    return stack


def watch(module: nn.Module, path: str, side: str) -> None:
    """Runs the autoencoder on what passes a module, and hangs what it gives on the model's output."""

    def look(_: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> None:
        state = inputs[0] if side == "input" else output
        state = state if isinstance(state, Tensor) else state[0]
        scope: nn.Module = module.get_submodule(NAME)
        GIVEN.set(scope(state))

    def hang(_: nn.Module, __: Any, output: Any) -> Any:
        object.__setattr__(output, "scope", GIVEN.get())
        return output

    target = module.get_submodule(path)
    if side == "input":
        target.register_forward_pre_hook(look)
    else:
        target.register_forward_hook(look)
    module.register_forward_hook(hang)
