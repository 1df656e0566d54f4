"""An autoencoder by itself: it takes activations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nexus_specs import Batch, Blueprint, NexusError, Part, Sample, Signal, Stack
from nexus_torch import hub
from nexus_torch.hugging_face.header import file_extents
from nexus_torch.hugging_face.weights.sizes import commonest
from nexus_torch.padding import Collated, mask_of, pad, unpad
from torch import Tensor, nn

from .autoencoder import ScopeOutput, SparseAutoencoder, pooled
from .layout import NAMES, WEIGHTS, Place, called

LAYER = "autoencoders.0"
KNOWN = NAMES | {"affine_skip_connection"}


class Scope:
    """Names and shapes of one autoencoder, checked against each other."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.extents = tuple(each for each in file_extents(hub.place(place.home, WEIGHTS)) if each.key in KNOWN)
        self.shapes = {each.key: each.shape for each in self.extents}
        lost = sorted(NAMES - set(self.shapes))
        if lost or len(self.shapes["w_enc"]) != 2 or not self.shapes["w_dec"]:
            raise NexusError(
                f"'{called(place.home)}' has no autoencoder that can be read: "
                f"{', '.join(lost) or 'w_enc is no matrix'}. Fetch {WEIGHTS} again."
            )
        read, count = self.shapes["w_enc"]
        rebuilt = self.shapes["w_dec"][-1]
        wanted = {"w_dec": (count, rebuilt), "b_enc": (count,), "b_dec": (rebuilt,), "threshold": (count,),
                  "affine_skip_connection": (read, rebuilt)}  # fmt: skip
        for name, shape in wanted.items():
            if self.shapes.get(name, shape) != shape:
                raise NexusError(
                    f"'{name}' in '{called(place.home)}' is {list(self.shapes[name])}; beside w_enc "
                    f"{[read, count]} it must be {list(shape)}. Only autoencoders of one layer are read: fetch one of "
                    "resid_post, mlp_out, attn_out or transcoder."
                )
        self.width, self.features = read, count

    def stack(self, prefix: str = "") -> Stack:
        """The stack of one layer; its width is that of its features, which a tap on it gives."""
        sizes = (sum(each.stop - each.start for each in self.extents),)
        return Stack(path=f"{prefix}autoencoders", count=1, widths=(self.features,), layer_bytes=sizes,
                     layer_parameters=(self.parameters,), kind="JumpReLU",
                     dtype=commonest([each.dtype for each in self.extents]))  # fmt: skip

    @property
    def parameters(self) -> int:
        """Numbers in the file."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def dtype(self) -> str:
        """The type of the weights, as the file names it."""
        return next(each.dtype for each in self.extents if each.key == "w_enc")


class AloneCheckpoint:
    """Kind "checkpoint" of an autoencoder without its model."""

    def __init__(self, place: Place) -> None:
        self.scope = Scope(place)
        stack = self.scope.stack()
        self.blueprint = Blueprint(
            family="gemma_scope_2", head="SparseAutoencoder", takes=("activations",), gives=("embedding",),
            stacks=(stack,), parameters=self.scope.parameters, active_parameters=self.scope.parameters,
            bytes=stack.layer_bytes[0], dtype=self.scope.dtype,
        )  # fmt: skip
        self.parts = (Part(path="", extents=()), Part(path=LAYER, extents=self.scope.extents))

    def skeleton(self) -> nn.Module:
        """The module on the meta device."""
        return SparseAutoencoder(self.scope.shapes).to(torch.get_default_dtype())

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The names are the file's own."""
        return {f"{LAYER}.{key}": tensor for key, tensor in raw.items()}

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Field "activations", float [T, D] or [D] -> activations [B, T, D] and their mask."""
        rows = [self._activations(sample) for sample in samples]
        return Collated({"activations": pad(rows), "attention_mask": mask_of([len(row) for row in rows]).long()})

    def read(self, output: ScopeOutput, batch: Batch) -> Signal:
        """Outputs "features", "reconstruction", "activations" sample by sample, "embedding" for all of them."""
        mask = batch.get("attention_mask")
        return signal(output, None if mask is None else mask.bool())

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """The strongest of each feature."""
        batch = self.collate(samples)
        return list(self.read(module(**batch), batch).outputs["embedding"])

    def save_preprocessor(self, folder: Path) -> None:
        """Nothing stands between activations and the autoencoder."""
        folder.mkdir(parents=True, exist_ok=True)

    def _activations(self, sample: Sample) -> Tensor:
        if "activations" not in sample.fields:
            raise NexusError(
                f"An autoencoder alone takes activations, but the sample has: {', '.join(sorted(sample.fields))}. "
                f"Map a column to `activations`, or name the model it explains: {called(self.scope.place.home)}#MODEL."
            )
        found = torch.as_tensor(np.asarray(sample.fields["activations"], dtype=np.float32))
        found = found[None] if found.ndim == 1 else found
        if found.ndim != 2 or found.shape[1] != self.scope.width:
            raise NexusError(
                f"Activations of sample '{sample.key}' are {list(found.shape)}; this autoencoder reads "
                f"[tokens, {self.scope.width}] of layer {self.scope.place.layer} ({self.scope.place.site})."
            )
        return found


def signal(output: ScopeOutput, mask: Tensor | None) -> Signal:
    """An autoencoder's output in standard terms. "features" [T, F], "reconstruction" [T, E] and "activations" [T, D],
    what it read, are sample by sample without padding; "embedding" [B, F] is the strongest of each feature."""
    vector = pooled(output.features, mask)
    states = {"features": output.features, "reconstruction": output.reconstruction, "activations": output.activations}
    rows = {name: unpad(value, mask) for name, value in states.items()}
    return Signal(mask=mask, outputs={"output": vector, "embedding": vector, **rows})
