"""What of samples must be equal for them to be one batch, because what is padded would be taken for more of them.

Sounds are padded to the longest, and most models of sounds see the padding: without a mask their states are others, and
with one (of samples, where states have a row for every few hundred) nobody can tell which of them are real. Pictures
that are not brought to one size are padded likewise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample

from .hearing import window


def sound(given: Any, extractor: Any | None) -> tuple[int, ...]:
    """The length of a sound; nothing where an extractor makes all equally long (Whisper's, where no processor is around
    it that asks it for less)."""
    whole = extractor is not None and window(extractor) < math.inf
    return () if whole else (len(given) if hasattr(given, "__len__") else 0,)


def chosen(extractor: Any) -> bool:
    """Whether an extractor chooses one sound of a batch by chance, for a treatment of its own (fused CLAP: one that is
    taken for a long one, where none is)."""
    return getattr(extractor, "truncation", None) == "fusion"


@contextmanager
def drawn() -> Iterator[None]:
    """What an extractor draws by chance is drawn alike each time: which part of a long sound CLAP hears."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def picture(given: Any, processor: Any) -> tuple[int, ...]:
    """The size of a picture; nothing where a processor brings all to one."""
    return () if isinstance(given, (list, tuple)) or one_size(processor) else tuple(np.shape(given)[:2])


def one_size(processor: Any) -> bool:
    """Whether an image processor makes pictures of one size of whatever it is given."""
    cut = bool(getattr(processor, "do_center_crop", False)) and _sides(getattr(processor, "crop_size", None))
    return cut or (bool(getattr(processor, "do_resize", False)) and _sides(getattr(processor, "size", None)))


def _sides(size: Any) -> bool:
    """Whether a size says height and width."""
    said = size if isinstance(size, Mapping) else {name: getattr(size, name, None) for name in ("height", "width")}
    return bool(said.get("height") and said.get("width"))


def wave(given: Any, sample: Sample, name: str) -> Any:
    """float32 [N] of a sample's sound. NexusError for what is none."""
    array = np.asarray(given)
    if array.dtype.kind != "f" or array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise NexusError(
            f"The audio of sample '{sample.key}' is {array.dtype} {list(array.shape)}; '{name}' hears one channel of "
            "float32 from -1 to 1, [samples], all of them finite numbers. Divide whole numbers by their largest, and "
            "take the mean of channels."
        )
    return array.astype(np.float32, copy=False)
