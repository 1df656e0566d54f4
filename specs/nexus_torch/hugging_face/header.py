"""One safetensors file, on disk or on a hub: where every tensor's bytes lie, from its header alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nexus_specs import Extent, NexusError

from nexus_torch import hub

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
}  # fmt: skip
"""Bits of one number, by safetensors' name of its dtype."""
RARE = frozenset({"C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
"""Dtypes of the format beyond these: a checkpoint may hold some beside what a model takes of it."""


def file_extents(file: str) -> list[Extent]:
    """The stored tensors of one safetensors file, by its path or its address."""
    entries, start, size = _header(file)
    found = [_extent(file, start, key, entry) for key, entry in entries.items()]
    placed = sorted(found, key=lambda each: (each.start, each.stop))
    if lacking := [extent.key for extent in placed if extent.stop > size]:
        raise NexusError(
            f"'{file}' is shorter than its header says, from the tensor '{lacking[0]}' on: the download was cut off. "
            "Fetch it again."
        )
    at = start
    for extent in placed:                                   # as the library of the format reads it
        if extent.start != at:
            how = "overlaps the one before it" if extent.start < at else "does not begin where the one before it ends"
            raise NexusError(f"'{file}' has a damaged header: the tensor '{extent.key}' {how}. Fetch the file again.")
        at = extent.stop
    if at != size:
        raise NexusError(f"'{file}' has {size - at:,} bytes behind its last tensor. Fetch the file again.")
    return found


def _extent(file: str, start: int, key: str, entry: Any) -> Extent:
    """One entry of a header. NexusError where it does not say a dtype, a shape and a range that fit each other."""
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(each) for each in entry["shape"])
        first, last = (int(each) for each in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        dtype, shape, first, last = "", (), 1, 0
    whole = math.prod(shape) * BITS.get(dtype, 0) // 8
    if not 0 <= first <= last or min(shape, default=0) < 0 or (dtype in BITS and whole != last - first):
        raise NexusError(f"'{file}' has a damaged header: the entry of '{key}' is no tensor. Fetch the file again.")
    if dtype not in BITS and dtype not in RARE:
        raise NexusError(
            f"'{file}' has a damaged header: the tensor '{key}' is of the dtype '{dtype:.20}', which safetensors has "
            f"not; {', '.join(BITS)} are read. Fetch the file again."
        )
    return Extent(key=key, dtype=dtype, shape=shape, file=file, start=start + first, stop=start + last)


def _header(file: str) -> tuple[dict[str, Any], int, int]:
    """Entries, where the tensors begin, and the bytes of the file."""
    from nexus_torch.files import read_header  # imports torch, which `match` does without

    if (address := hub.Address.parse(file)) is not None:
        return *hub.header(address), hub.resolve(address.hub).files[address.file].size
    return *read_header(Path(file)), Path(file).stat().st_size
