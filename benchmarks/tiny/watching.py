"""What streaming does to the disk and to memory, seen from outside the engine: reads at the file, layers with weights.

The engine reads with `os.preadv`, by whole pages where it goes past the page cache, and along over a few kilobytes
that it could skip. So a read counts for the layer at whose tensor it begins, and a layer is read again where two reads
begin at one of its tensors.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nexus_specs import Checkpoint
from nexus_torch.skeleton import holders
from torch import nn

PAGE = 4096
MOST = 1
"""Layers that may have their weights in the module at a time: the next one arrives meanwhile, in a buffer of the
engine's, so that two are resident."""

Places = dict[str, dict[int, set[tuple[str, int]]]]
"""File -> page -> the tensors of layers that begin in it: layer and place."""


class Watched:
    """A checkpoint whose streaming is watched: how often each layer was read, how many were there at once."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.inner = checkpoint
        self.reads: Counter[tuple[str, int]] = Counter()
        self.there: set[frozenset[str]] = set()
        """Layers that had weights while one of them ran."""
        self.runs: Counter[str] = Counter()
        """How often each layer ran."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def skeleton(self) -> nn.Module:
        """As the checkpoint makes it, with hooks that count."""
        module = self.inner.skeleton()
        read = {part.path for part in self.inner.parts if part.extents}
        layers = [path for stack in self.inner.blueprint.stacks for path in stack.layers if path in read]
        own = {path: _own(module, path) for path in layers}

        def count(path: str) -> Any:
            def hook(*_: object) -> None:
                self.runs[path] += 1
                self.there.add(frozenset(layer for layer, names in own.items() if _there(module, names)))

            return hook

        for path in layers:
            module.get_submodule(path).register_forward_hook(count(path))
        return module

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts what is read of the checkpoint's files inside."""
        places, original = _places(self.inner), os.preadv

        def counted(file: int, buffers: Any, at: int, *more: Any) -> int:
            pages = places.get(os.path.realpath(f"/proc/self/fd/{file}"), {})
            begun = pages.get(at // PAGE, set())
            exact = {each for each in begun if each[1] == at}
            if exact or (at % PAGE == 0 and len({layer for layer, _ in begun}) == 1):
                self.reads[min(exact or begun)] += 1
            return original(file, buffers, at, *more)

        os.preadv = counted
        try:
            yield
        finally:
            os.preadv = original

    def complaint(self, batches: int) -> str:
        """What is the matter with how it was streamed; "" where nothing is: each layer was read once, and all these
        batches passed it."""
        again = sorted({layer for (layer, _), times in self.reads.items() if times > 1})
        if again:
            return f"{len(again)} layers are read again, such as {again[0]}"
        if few := sorted(path for path, times in self.runs.items() if times < batches):
            return f"{len(few)} layers saw fewer than {batches} batches, such as {few[0]}"
        most = max((len(each - self._staying()) for each in self.there), default=0)
        return f"{most} layers have their weights at once" if most > MOST else ""

    def _staying(self) -> set[str]:
        """Layers of stacks that are there whatever runs, all of them: small ones in front of others, as the engine has
        them where sounds are convolved. Where no other stack comes and goes, none."""
        always = frozenset.intersection(*self.there) if self.there else frozenset[str]()
        stacks = [set(stack.layers) for stack in self.inner.blueprint.stacks]
        stay = [layers for layers in stacks if layers <= always]
        return set().union(*stay) if len(stay) < len(stacks) else set()


def _places(checkpoint: Checkpoint) -> Places:
    found: Places = defaultdict(lambda: defaultdict(set))
    for part in checkpoint.parts:
        for each in part.extents if part.path else ():
            found[os.path.realpath(each.file)][each.start // PAGE].add((part.path, each.start))
    return found


def _own(module: nn.Module, path: str) -> list[str]:
    """The weights of a layer that no other has: Zamba's attention is one for several layers, and stays while they
    run."""
    tied = holders(module)
    names = (f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters())
    return [name for name in names if all(each.startswith(f"{path}.") for each in tied[name])]


def _there(module: nn.Module, names: Sequence[str]) -> bool:
    """Whether most of these weights have values."""
    sizes = [(each.numel(), each.is_meta) for each in map(module.get_parameter, names)]
    return 2 * sum(size for size, gone in sizes if not gone) > sum(size for size, _ in sizes)
