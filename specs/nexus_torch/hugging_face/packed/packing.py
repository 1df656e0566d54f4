"""A checkpoint's packing: which layout, which stored keys make which weight, and the weights themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..configuration import text_part
from . import bnb, compressed, fp8, integers, mxfp4
from .layout import Layout, Settings

METHODS: Mapping[str, tuple[Layout, ...]] = {
    "awq": integers.AWQ,
    "bitsandbytes": bnb.LAYOUTS,
    "compressed-tensors": compressed.LAYOUTS,
    "fbgemm_fp8": fp8.LAYOUTS,
    "fp8": fp8.LAYOUTS,
    "gptq": integers.GPTQ,
    "mxfp4": mxfp4.LAYOUTS,
}
"""quantization_config.quant_method -> how its weights may be stored."""


def settings(config: Any) -> Settings:
    """The quantisation of a configuration, or of the language model inside it, as a mapping; {} where nothing is
    quantised."""
    for each in (config, text_part(config) if hasattr(config, "get_text_config") else None):
        if (found := getattr(each, "quantization_config", None)) is not None:
            return dict(found if isinstance(found, Mapping) else found.to_dict())
    return {}


@dataclass(frozen=True)
class Packing:
    """How the weights of one checkpoint are stored."""

    settings: Settings
    groups: Mapping[str, tuple[str, ...]]
    """Weight -> the stored keys that make it; a weight that is stored as it is has its own."""
    made: Mapping[str, tuple[Layout, Mapping[str, str]]]
    """Packed weight -> its layout, and role -> stored key."""
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, settings: Settings, keys: Iterable[str], dtype: torch.dtype | None = None) -> Packing:
        """The packing of files with these keys; values come in `dtype`, that of the configuration (float32 where it
        names none), as the model was before it was packed."""
        every = sorted(keys)
        made: dict[str, tuple[Layout, Mapping[str, str]]] = {}
        for layout in METHODS.get(str(settings.get("quant_method", "")), ()):
            for name, roles in layout.groups(every).items():
                made.setdefault(name, (layout, roles))
        used = {key for _, roles in made.values() for key in roles.values()}
        groups: dict[str, tuple[str, ...]] = {key: (key,) for key in every if key not in used}
        groups |= {name: tuple(roles.values()) for name, (_, roles) in made.items()}
        return cls(settings=settings, groups=groups, made=made, dtype=dtype or torch.float32)

    def unpack(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Stored tensors by key -> weights by name, those that were packed in `dtype`, one after the other."""
        left = dict(raw)
        result: dict[str, Tensor] = {}
        for name, (layout, roles) in self.made.items():
            if not any(key in left for key in roles.values()):
                continue
            stored = {role: left.pop(key) for role, key in roles.items() if key in left}
            result[name] = self._unpacked(name, layout, stored)
        return left | result

    def _unpacked(self, name: str, layout: Layout, stored: Mapping[str, Tensor]) -> Tensor:
        """One weight. NexusError for tensors that the layout cannot have written, whatever is wrong with them."""
        try:
            return layout.dequantise(name, stored, self.settings).to(self.dtype)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            shapes = ", ".join(f"{role} {list(tensor.shape)}" for role, tensor in sorted(stored.items()))
            raise NexusError(
                f"The weight '{name}' is not packed as '{self.settings.get('quant_method')}' packs one ({shapes}): "
                f"{error}. Fetch the checkpoint again."
            ) from error


def refuse_unknown(method: str, source: str) -> None:
    """NexusError for a packing that is not read."""
    if method and method not in METHODS:
        raise NexusError(
            f"'{source}' is packed by '{method}', which is not read; {', '.join(sorted(METHODS))} are. Fetch the "
            "checkpoint as it was before it was packed, or packed in one of these ways."
        )


def refuse_transposed(module: nn.Module, method: str, source: str) -> None:
    """NexusError where bitsandbytes packed GPT-2's transposed layers: it turns them as it packs, and nothing in the
    file says so, so a square weight would be opened wrongly."""
    if method == "bitsandbytes" and any(isinstance(each, Conv1D) for each in module.modules()):
        raise NexusError(
            f"'{source}' holds Conv1D layers packed by bitsandbytes, which are not read. Fetch the checkpoint as it "
            "was before it was packed; `quantise: nf4` in its card packs it here."
        )
