"""A checkpoint's packing: which layout, which stored keys make which weight, and the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ...configuration.reading import text_part
from . import bitnet, bnb, compressed, fp8, integers, modelopt, mxfp4
from .layout import Layout, Settings

METHODS: Mapping[str, tuple[Layout, ...]] = {
    "awq": integers.AWQ,
    bitnet.METHOD: (),                                      # told by the module, not by names: `turning`
    "bitsandbytes": bnb.LAYOUTS,
    "compressed-tensors": compressed.LAYOUTS,
    "fbgemm_fp8": fp8.FBGEMM,
    "fp8": fp8.LAYOUTS,
    "gptq": integers.GPTQ,
    modelopt.METHOD: modelopt.LAYOUTS,
    "mxfp4": mxfp4.LAYOUTS,
    "mxfp8": fp8.LAYOUTS,
}
"""quantization_config.quant_method -> how its weights may be stored."""
FIELDS = ("quantization_config", "compression_config")
"""Where a configuration says how it is packed; the second is what compressed-tensors called it before 0.7."""
AUTO_ROUND = ("auto-round", "intel/auto-round")
TURNING = ("bitsandbytes", "gptq")
"""Quantisers that pack layers whose weights are stored as [inputs, outputs], and turn them first."""


def settings(config: Any) -> Settings:
    """The quantisation of a configuration, or of the language model inside it, as a mapping; {} where nothing is
    quantised."""
    for each in (config, text_part(config) if hasattr(config, "get_text_config") else None):
        for field in FIELDS:
            if (found := getattr(each, field, None)) is not None:
                return _named(dict(found if isinstance(found, Mapping) else found.to_dict()))
    return {}


def _named(settings: Settings) -> Settings:
    """Settings with their quantiser: bitsandbytes' did not name it before transformers 4.34, and AutoRound packs in the
    layouts of others."""
    if settings.get("quant_method") in AUTO_ROUND:
        return integers.rounded(settings)
    asked = [settings.get(name) for name in ("load_in_4bit", "load_in_8bit")]
    if settings.get("quant_method") or asked == [None, None]:
        return settings
    return {**settings, "quant_method": "bitsandbytes"} if any(asked) else {}


@dataclass(frozen=True)
class Packing:
    """How the weights of one checkpoint are stored."""

    settings: Settings
    groups: Mapping[str, tuple[str, ...]]
    """Weight -> the stored keys that make it; a weight that is stored as it is has its own."""
    made: Mapping[str, tuple[Layout, Mapping[str, str]]]
    """Packed weight -> its layout, and role -> stored key."""
    dtype: torch.dtype = torch.float32
    turned: frozenset[str] = frozenset()
    """Packed weights that were turned before: those of layers that multiply from the left."""

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

    def turning(self, module: nn.Module, targets: Mapping[str, tuple[str, Any]]) -> Packing:
        """This packing for a module with layers that hold their weights turned (GPT-2's): quantisers that pack rows of
        outputs turn them as they pack. And for one with rounding modules, whose weights are known by them alone.
        `targets` are those of the weights: name -> (name in the module, ...)."""
        if self.settings.get("quant_method") == bitnet.METHOD:
            return replace(self, made=bitnet.made(module, targets))
        paths = {f"{path}.weight" for path, each in module.named_modules() if isinstance(each, Conv1D)}
        if str(self.settings.get("quant_method")) not in TURNING or not paths:
            return self
        return replace(self, turned=frozenset(name for name in self.made if targets.get(name, ("",))[0] in paths))

    @property
    def rounds(self) -> bool:
        """Whether states are rounded as they pass: what is added to a weight would be multiplied with these."""
        return self.settings.get("quant_method") == bitnet.METHOD

    def unpack(self, raw: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> weights by name, those that were packed in `dtype`: each is unpacked when it is
        looked up, so that of hundreds of experts no more are there than somebody puts together."""
        left = dict(raw)
        waiting: dict[str, Callable[[], Tensor]] = {}
        for name, (layout, roles) in self.made.items():
            if not (there := [key for key in roles.values() if key in left]):
                continue
            if there == [name] and len(roles) > 1 and left[name].dtype == torch.float32:
                continue                                    # unpacked already, by somebody who changed it
            stored = {role: left.pop(key) for role, key in roles.items() if key in left}
            waiting[name] = partial(self._unpacked, name, layout, stored)
        return Unpacked(left, waiting)

    def _unpacked(self, name: str, layout: Layout, stored: Mapping[str, Tensor]) -> Tensor:
        """One weight. NexusError for tensors that the layout cannot have written, whatever is wrong with them."""
        try:
            narrow = [self.dtype] if layout.narrow else []
            values = layout.dequantise(name, stored, self.settings, *narrow).to(self.dtype)
            return values.T if name in self.turned else values
        except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            shapes = ", ".join(f"{role} {list(tensor.shape)}" for role, tensor in sorted(stored.items()))
            raise NexusError(
                f"The weight '{name}' is not packed as '{self.settings.get('quant_method')}' packs one ({shapes}): "
                f"{error}. Fetch the checkpoint again."
            ) from error


class Unpacked(Mapping[str, Tensor]):
    """Weights by name: some as they are, some that are made each time that they are looked up."""

    def __init__(self, there: Mapping[str, Tensor], waiting: Mapping[str, Callable[[], Tensor]]) -> None:
        self.there, self.waiting = there, waiting

    def __getitem__(self, name: str) -> Tensor:
        """The weight."""
        return self.waiting[name]() if name in self.waiting else self.there[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        yield from self.there
        yield from self.waiting

    def __len__(self) -> int:
        """How many there are."""
        return len(self.there) + len(self.waiting)
