"""Ranges of bytes to tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import torch
from nexus_specs import Extent, NexusError
from nexus_torch.files import DTYPES
from torch import Tensor

LARGEST_READ = 1 << 30
"""Bytes asked for at once: the system gives less than 2 GiB to one call."""


def read(extents: Iterable[Extent]) -> dict[str, Tensor]:
    """The stored tensors of these ranges, by key, in their stored dtype. No memory maps: a file that shrinks is a
    NexusError, never the end of the process."""
    with ExitStack() as stack:
        files: dict[str, int] = {}
        found = {}
        for extent in sorted(extents, key=lambda each: (each.file, each.start)):
            if extent.file not in files:
                files[extent.file] = _open(extent.file)
                stack.callback(os.close, files[extent.file])
            found[extent.key] = _tensor(extent, _bytes(files[extent.file], extent))
        return found


def _open(file: str) -> int:
    try:
        return os.open(Path(file), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        where = f"'{file}' cannot be read ({error.strerror})"
        raise NexusError(f"{where}. Put the checkpoint back, or mend `source`.") from error


def _bytes(file: int, extent: Extent) -> bytearray:
    data, at = bytearray(extent.stop - extent.start), 0
    view = memoryview(data)
    while at < len(data):
        got = os.preadv(file, [view[at : at + LARGEST_READ]], extent.start + at)
        if got == 0:
            raise NexusError(f"'{extent.file}' ends inside the tensor '{extent.key}'. Fetch the checkpoint again.")
        at += got
    return data


def _tensor(extent: Extent, data: bytearray) -> Tensor:
    if extent.dtype not in DTYPES:
        raise NexusError(f"The tensor '{extent.key}' of '{extent.file}' has the unknown dtype {extent.dtype}.")
    dtype = DTYPES[extent.dtype]
    if not data:
        return torch.empty(extent.shape, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype).reshape(extent.shape)
