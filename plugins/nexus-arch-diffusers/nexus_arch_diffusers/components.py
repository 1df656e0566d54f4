"""One model of a checkpoint: a model of diffusers, and any in its place in a pipeline."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import ModelMixin
from nexus_specs import Extent, NexusError, Part, Stack
from nexus_torch.hugging_face.weights.packed import Packing, check_stored, lacking
from nexus_torch.hugging_face.weights.sizes import Expected, commonest, stored_bytes
from nexus_torch.skeleton import without_weights
from nexus_torch.stacks import owner
from torch import Tensor, nn

from .classes import model_class
from .folder import CONFIG, extents, has_weights, read_json
from .limits import check
from .measured import measured
from .stacks import order, stacks
from .streams import hidden_first
from .suspects import suspects
from .tables import sparing
from .turning import turning
from .vae import TILED
from .widths import widths

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
WEIGHTS = "weights (*.safetensors)"


class Model(Protocol):
    """One model with its own names; `Prefixed` gives it its place in a pipeline."""

    parts: Sequence[Part]
    stacks: Sequence[Stack]
    parameters: int
    buffers: int
    alive: int
    """Values that a block has at most for each position, where that is known (`Blueprint.alive`)."""
    quantisation: str
    config: Any
    missing: Sequence[str]
    """Weights that are not here, as a blueprint says it."""
    expected: Mapping[str, int]
    """Bytes by dtype that may be expected of weights that are not here."""

    def skeleton(self) -> nn.Module:
        """The module on the meta device."""

    def assemble(self, part: Part, raw: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""


class Diffusion:
    """A model of diffusers. Its names in a file are those in the module, old attention blocks aside; what a quantiser
    packed comes out as it was before."""

    def __init__(
        self, home: Path, *, weightless: bool = False, dtype: str = "", kind: type[Any] | None = None
    ) -> None:
        """`weightless`: it may be described without weights, whose dtype is expected to be `dtype`; `kind`: the class
        that the pipeline's index names."""
        self.home, self.config = home, read_json(home / CONFIG)
        check(self.config, home / CONFIG)
        self.kind = model_class(self.config, home / CONFIG, kind)
        quantiser = _quantiser(self.config)
        module = self.skeleton()
        self.layers = stacks(module)
        gone = weightless and not has_weights(home)
        stored = () if gone else extents(home, f"import diffusers; diffusers.{self.kind.__name__}")
        found = {extent.key: extent for extent in stored}
        sizes = Expected(TYPES.get(dtype), quantiser) if gone else None
        self.missing = (WEIGHTS,) if gone else ()
        self.packing = Packing.of(quantiser, found, _plain_dtype(found))
        plain = bool(found) and not self.packing.made and not lacking(quantiser)    # whatever is said of a quantiser
        self.quantisation = str(quantiser.get("quant_method", "unknown")) if quantiser and not plain else ""
        self.names = self._names(module, found)
        if not lacking(quantiser):
            check_stored(self.packing, found, self.names, str(home))
        self.parts = _parts(order(self.layers), found, self.names, self.packing)
        held = {part.path: part.extents for part in self.parts}
        found_stacks = [_stack(module, path, layers, held, sizes) for path, layers in self.layers.items()]
        self.parameters = _size(module)
        self.buffers = sum(each.numel() * each.itemsize for each in module.buffers())
        self.expected = {sizes.name: _expected(module, found_stacks, sizes)} if sizes else {}
        self.alive = turning(module, order(self.layers))
        self.stacks = _wide(module, found_stacks)

    def skeleton(self) -> ModelMixin:
        """The module on the meta device, evaluating, its buffers real."""
        try:
            with without_weights(), sparing():
                module = self.kind.from_config(_known(self.config))
        except NexusError:
            raise
        except Exception as error:                          # a configuration can be wrong in any way
            said = " ".join(str(error).split())[:300].rstrip(".")
            raise NexusError(
                f"diffusers cannot make a {self.kind.__name__} of '{self.home / CONFIG}': {said}."
                f"{suspects(self.kind, self.config)} Fetch it again, or update diffusers."
            ) from error
        if self.kind.__name__ in TILED:
            module.enable_tiling()
        hidden_first(module, [layer for layers in stacks(module).values() for layer in layers])
        return module.eval()

    def assemble(self, part: Part, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By name."""
        return {self.names[key]: tensor for key, tensor in self.packing.unpack(raw).items() if key in self.names}

    def _names(self, module: ModelMixin, found: Mapping[str, Extent]) -> dict[str, str]:
        """Stored weight -> name in the module; what the module has not is left out."""
        known = module.state_dict()
        keys = {key: key for key in self.packing.groups}
        module._fix_state_dict_keys_on_load(keys)
        names = {key: name for name, key in keys.items() if name in known}
        for path, each in module.named_modules():
            if isinstance(each, nn.ModuleList) and (more := _beginning(keys, f"{path}.{len(each)}.")):
                raise NexusError(
                    f"'{self.home}' stores '{more}', and its {CONFIG} makes {len(each)} of {path}: what is more would "
                    "be left out. Fetch both from one place."
                )
        for key, name in names.items():
            if key not in self.packing.made and tuple(known[name].shape) != found[key].shape:
                raise NexusError(
                    f"'{self.home}' stores '{key}' as {list(found[key].shape)}; its {CONFIG} makes it "
                    f"{list(known[name].shape)}. Fetch both from one place."
                )
        return names


class Prefixed:
    """A model in a pipeline: its paths and names begin with the component's, its keys with "component/"."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self.model = name, model
        self.parts = tuple(Part(path=self._path(part.path), extents=self._own(part.extents)) for part in model.parts)
        self.stacks = tuple(dataclasses.replace(stack, path=self._path(stack.path)) for stack in model.stacks)

    def assemble(self, part: Part, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of the tensors that are this component's."""
        mark = f"{self.name}/"
        own = {key.removeprefix(mark): tensor for key, tensor in raw.items() if key.startswith(mark)}
        if not own:
            return {}
        inner = Part(path=part.path.removeprefix(self.name).removeprefix("."), extents=())
        return {f"{self.name}.{name}": tensor for name, tensor in self.model.assemble(inner, own).items()}

    def _path(self, path: str) -> str:
        return f"{self.name}.{path}" if path else ""

    def _own(self, found: Sequence[Extent]) -> tuple[Extent, ...]:
        return tuple(dataclasses.replace(extent, key=f"{self.name}/{extent.key}") for extent in found)


def _expected(module: nn.Module, found: Sequence[Stack], sizes: Expected) -> int:
    """Bytes of all weights: layers as they are packed, the rest as it is."""
    layers = [layer for stack in found for layer in stack.layers]
    inside = sum(sizes.bytes(module.get_submodule(layer), packed=False) for layer in layers)
    return sizes.bytes(module, packed=False) - inside + sum(sum(stack.layer_bytes) for stack in found)


def _size(module: nn.Module) -> int:
    """Parameters of a module, packed or not."""
    return sum(each.numel() for each in module.parameters())


def _known(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a class's constructor may see: no quantiser, no notes of the library."""
    return {name: value for name, value in config.items() if name != "quantization_config"}


def _beginning(keys: Iterable[str], start: str) -> str:
    """The first that begins so; "" where none does."""
    return next((key for key in keys if key.startswith(start)), "")


def _quantiser(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a configuration says of a quantiser; {} where there is none."""
    found = config.get("quantization_config") or {}
    return found if isinstance(found, Mapping) else {"quant_method": str(found)}


def _wide(module: nn.Module, found: Sequence[Stack]) -> tuple[Stack, ...]:
    """Stacks with the widths that only a forward says; it uses the module up."""
    unsaid = [layer for stack in found for layer, width in zip(stack.layers, stack.widths, strict=True) if width < 0]
    seen = measured(module, unsaid) if unsaid else {}
    return tuple(
        dataclasses.replace(stack, widths=tuple(
            seen.get(layer, -1) if width < 0 else width
            for layer, width in zip(stack.layers, stack.widths, strict=True)
        )) for stack in found
    )  # fmt: skip


def _plain_dtype(found: Mapping[str, Extent]) -> torch.dtype:
    """The type of what no quantiser packed, the smaller ones of equals: that of the model before it was packed."""
    kinds = Counter(each.dtype for each in found.values() if each.dtype in DTYPES and len(each.shape) != 2)
    return DTYPES[max(kinds, key=lambda kind: kinds[kind])] if kinds else torch.float32


def _parts(
    layers: Sequence[str], found: Mapping[str, Extent], names: Mapping[str, str], packing: Packing
) -> tuple[Part, ...]:
    """What belongs to no layer first, as the part "", then the layers as the forward visits them."""
    groups: dict[str, list[Extent]] = {path: [] for path in ("", *layers)}
    known = frozenset(layers)
    for key, name in names.items():
        groups[owner(name, known)].extend(found[each] for each in packing.groups[key])
    return tuple(Part(path=path, extents=tuple(group)) for path, group in groups.items())


def _stack(
    module: ModelMixin, path: str, layers: Sequence[str], held: Mapping[str, Sequence[Extent]], sizes: Expected | None
) -> Stack:
    def size(layer: str) -> int:
        if sizes is not None:
            return sizes.bytes(module.get_submodule(layer), layer, packed=True)
        return stored_bytes(held[layer])

    return Stack(
        path=path,
        count=len(layers),
        widths=widths(module, layers),
        layer_bytes=tuple(size(layer) for layer in layers),
        layer_parameters=tuple(_size(module.get_submodule(layer)) for layer in layers),
        dtype=sizes.name if sizes is not None else commonest([each.dtype for layer in layers for each in held[layer]]),
        kind=" / ".join(dict.fromkeys(type(module.get_submodule(layer)).__name__ for layer in layers)),
    )
