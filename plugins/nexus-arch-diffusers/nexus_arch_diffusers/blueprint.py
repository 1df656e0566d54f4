"""What a pipeline or a model is, from its folder alone."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

from nexus_specs import Blueprint, NexusError, Part, Stack
from nexus_torch.hugging_face.weights.packed import lacking
from nexus_torch.text import tokenizer_hash
from torch import nn
from transformers import PreTrainedTokenizerBase

from .catalogue import made, pictured
from .collate import MEDIA
from .components import Diffusion, Model
from .encoders import Encoder
from .pipelines import PipelineFolder


def pipeline_blueprint(folder: PipelineFolder, parts: Sequence[Part]) -> Blueprint:
    """The record of a whole pipeline; its stacks in the order in which the pipeline comes by."""
    name, arguments = folder.kind.__name__, folder.arguments
    takes = tuple(word for argument, word in
                  (("prompt", "text"), ("image", "image"), ("video", "video"), ("class_labels", "label"))
                  if _takes(argument, arguments, name))  # fmt: skip
    folder.check_parts()
    models = folder.models.values()
    parameters = sum(each.model.parameters for each in models)
    packings = [each.model.packing.settings for each in models]
    missing = [*folder.missing, *dict.fromkeys(lack for each in packings for lack in lacking(each))]
    return Blueprint(
        family=folder.kind.__module__.split(".")[2] if folder.kind.__module__.count(".") > 1 else "diffusers",
        head=name,
        takes=takes or ("noise",),
        gives=(made(name),),
        stacks=_stacks(folder, parts),
        parameters=parameters,
        active_parameters=parameters,
        quantisation=next((each.model.quantisation for each in models if isinstance(each.model, Diffusion)
                           and each.model.quantisation), ""),
        tokenizer=_tokenizer(folder, missing),
        alive=max((each.model.alive for each in models), default=0),
        buffers=sum(each.model.buffers for each in models),
        missing=tuple(missing),
        **_stored(parts, [each.model for each in models]),
    )  # fmt: skip


def model_blueprint(module: nn.Module, model: Diffusion | Encoder, parts: Sequence[Part]) -> Blueprint:
    """The record of one model: a denoiser takes and gives latents, a VAE pictures, films or sound."""
    arguments = inspect.signature(inspect.unwrap(type(module).forward)).parameters
    name = type(module).__name__
    denoises = any(each in arguments for each in ("timestep", "timesteps", "t", "sigma"))
    conditioned = "encoder_hidden_states" in arguments
    medium = ("latents",) if denoises else (made(name),)
    return Blueprint(
        family=type(module).__module__.rpartition(".")[2],
        head=name,
        takes=(*medium, "embedding") if conditioned else medium,
        gives=medium,
        stacks=tuple(model.stacks),
        parameters=model.parameters,
        active_parameters=model.parameters,
        quantisation=model.quantisation,
        buffers=model.buffers,
        missing=(*model.missing, *lacking(model.packing.settings)),
        **_stored(parts, [model]),
    )


def _stored(parts: Sequence[Part], models: Sequence[Model]) -> dict[str, Any]:
    """What the weights take in files, those that are not here as it is expected."""
    everything = [extent for part in parts for extent in part.extents]
    weight: dict[str, int] = {}
    for extent in everything:
        weight[extent.dtype] = weight.get(extent.dtype, 0) + math.prod(extent.shape)
    for each in models:
        for kind in each.expected:
            weight[kind] = weight.get(kind, 0) + each.parameters
    return {
        "bytes": sum(extent.stop - extent.start for extent in everything)
        + sum(size for each in models for size in each.expected.values()),
        "dtype": max(sorted(weight), key=lambda kind: weight[kind], default=""),
    }


def _stacks(folder: PipelineFolder, parts: Sequence[Part]) -> tuple[Stack, ...]:
    first = {part.path: at for at, part in enumerate(parts)}
    found = [stack for each in folder.models.values() for stack in each.stacks]
    return tuple(sorted(found, key=lambda stack: min(first[layer] for layer in stack.layers)))


def _takes(argument: str, arguments: Any, name: str) -> bool:
    """Whether a pipeline takes it; a picture or film only where it must have one."""
    if argument not in arguments or argument not in MEDIA:
        return argument in arguments
    return arguments[argument].default is inspect.Parameter.empty or pictured(name)


def _tokenizer(folder: PipelineFolder, missing: list[str]) -> str:
    """The hash of the first tokenizer; "" where there is none. One that cannot be read is missing."""
    if "tokenizer" not in folder.entries or "tokenizer" in folder.absent:
        return ""
    try:
        found = folder.read("tokenizer")
    except NexusError:
        missing.append("tokenizer/")
        return ""
    return tokenizer_hash(found) if isinstance(found, PreTrainedTokenizerBase) else ""
