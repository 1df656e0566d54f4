"""How much a forward over a text has at one time: its own code runs on the meta device, and every storage that it makes
is followed for as long as it lives. No rule knows which products a layer makes side by side, what its caller keeps, and
how many tensors an activation written in Python takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TEXTS, POSITIONS, LAYERS = 2, 64, 2
"""Texts that it runs on, and their length; layers of a stack that run, for the others are like them."""
ASKED = 64
"""Questions to its numbers that a forward is answered: are all of a mask's true? They are; what asks more may go round
in a circle."""
LEAST = 100_000_000
"""Parameters from which on it is worth the tenth of a second: what less takes is small beside what a process takes."""


def alive(module: Any, paths: Sequence[str], parameters: int) -> int:
    """Values that are there at most for each position, beside weights and scores of words; 0 where the module is small
    or does not run on a text alone, without numbers. `paths` are those of its stacks."""
    if parameters < LEAST or any(not each.is_meta for each in module.parameters()):
        return 0
    words = torch.ones(TEXTS, POSITIONS, dtype=torch.long, device="meta")
    names = ["input_ids", *(["decoder_input_ids"] if module.config.is_encoder_decoder else [])]
    training = module.training
    with suppress(Exception), _shortened(module, paths), Following(module) as following, Fused(), torch.no_grad():
        head = module.get_output_embeddings()
        hook = head.register_forward_pre_hook(_stop) if isinstance(head, nn.Module) else None
        try:
            with suppress(_AtTheHead):
                module.eval()(**dict.fromkeys(names, words))
            return int(following.most) // (TEXTS * POSITIONS)
        finally:
            module.train(training)
            if hook is not None:
                hook.remove()
    return 0


class _AtTheHead(Exception):
    """All layers have run."""


def _stop(*_: object) -> None:
    raise _AtTheHead


@contextmanager
def _shortened(module: nn.Module, paths: Sequence[str]) -> Iterator[None]:
    """While this lasts, stacks have their first layers alone."""
    whole = {path: module.get_submodule(path) for path in paths}
    try:
        for path, layers in whole.items():
            if isinstance(layers, nn.ModuleList):
                _set(module, path, nn.ModuleList(list(layers)[:LAYERS]))
        yield
    finally:
        for path, layers in whole.items():
            _set(module, path, layers)


def _set(module: nn.Module, path: str, layers: nn.Module) -> None:
    around, _, name = path.rpartition(".")
    module.get_submodule(around)._modules[name] = layers


class Fused(TorchFunctionMode):
    """Attention as its kernel does it on a processor, which keeps no scores; the meta device would make them. It takes
    what lies in rows; what is transposed it makes in float32, scores and all."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention:            # diffusers names its arguments
            given = [*args, *(kwargs[name] for name in ("query", "key", "value") if name in kwargs)]
            rows = all(each.stride(-1) == 1 for each in given[:3])
            if len(given) > 2 and rows and given[0].shape[-1] == given[2].shape[-1]:
                return torch.empty_like(given[0])
        return func(*args, **kwargs)


class Following(TorchDispatchMode):
    """The most values that are there at one time."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        unnamed = (each for part in module.modules() for each in vars(part).values() if isinstance(each, Tensor))
        weights = (*module.parameters(), *module.buffers(), *unnamed)           # VideoMAE's positions are no buffer
        self.known = {each.untyped_storage()._cdata for each in weights}
        self.live: dict[int, tuple[int, int]] = {}
        """Of a storage, a weak reference and values."""
        self.most, self.asked = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype is torch.bool and self.asked < ASKED:
            self.asked += 1
            return True
        output = func(*args, **(kwargs or {}))
        self._sweep()
        for each in tree_leaves(output):
            if isinstance(each, Tensor) and self.follows(each):
                storage = each.untyped_storage()
                if storage._cdata not in self.known and storage._cdata not in self.live:
                    self.live[storage._cdata] = storage._weak_ref(), storage.nbytes() // each.itemsize
        self.most = max(self.most, sum(values for _, values in self.live.values()))
        return output

    def follows(self, made: Tensor) -> bool:
        """Whether it counts what was made."""
        return bool(made.is_meta)

    def __exit__(self, *given: Any) -> None:
        super().__exit__(*given)
        for weak, _ in self.live.values():
            torch.UntypedStorage._free_weak_ref(weak)
        self.live.clear()

    def _sweep(self) -> None:
        for key in [key for key, (weak, _) in self.live.items() if torch.UntypedStorage._expired(weak)]:
            torch.UntypedStorage._free_weak_ref(self.live.pop(key)[0])
