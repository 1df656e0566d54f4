"""What a pipeline holds while each of its stacks runs: its own forward on the meta device, encoders, VAE and denoiser
one after the other as they come, with all rows of the denoiser and every skip that it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from nexus_specs import Stack
from nexus_torch.hugging_face.inputs.holding import NOTHING, Held, held
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .observing import DENOISERS


def holding(
    module: nn.Module, batch: Mapping[str, Any], paths: Mapping[str, Sequence[str]], beside: Sequence[str] = ()
) -> Held:
    """Of a batch of one sample; nothing where its denoiser does not run without numbers. `module` is on the meta
    device, and of no use behind it."""
    whole = module.forward

    def forward(**given: Any) -> None:
        with suppress(Exception):                           # behind the denoiser numbers are compared
            whole(**given)

    module.__dict__["forward"] = forward
    with _Staying():
        found = held(module, batch, paths, beside)
    ran = [max(sizes) > 0 for path, sizes in found.most.items() if path.partition(".")[0] in DENOISERS]
    return found if ran and all(ran) else NOTHING


def narrowing(stacks: Sequence[Stack]) -> bool:
    """Whether a denoiser grows narrower and wider (a U-Net), which keeps states of every size: of one whose blocks are
    alike what a block has tells more."""
    widths = {width for stack in stacks if stack.path.partition(".")[0] in DENOISERS for width in stack.widths}
    return len(widths) > 1


class _Staying(TorchFunctionMode):
    """A pipeline brings what it is given to where it runs, and its scheduler to where states are: what is away stays
    so, and numbers stay here."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.cpu and args[0].is_meta:
            return args[0]
        if func is Tensor.to and args[0].is_meta | _is_meta((*args[1:], *kwargs.values())):
            kwargs.pop("device", None)
            args = (args[0], *(each for each in args[1:] if not isinstance(each, (str, torch.device))))
            return func(*args, **kwargs) if len(args) > 1 or kwargs else args[0]
        return func(*args, **kwargs)


def _is_meta(given: Sequence[Any]) -> bool:
    """Whether this asks for the meta device, by what another tensor says of itself; by name it is meant."""
    return any(isinstance(each, torch.device) and each.type == "meta" for each in given)
