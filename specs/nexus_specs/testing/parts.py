"""Checks of checkpoints: their ranges lie in files, and their parts make the whole model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoint
from ..data import Sample
from ..models import Extent
from .values import same_batch, shape

SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1,
    "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
TORCH = {
    "F64": "float64", "I64": "int64", "F32": "float32", "I32": "int32", "F16": "float16", "BF16": "bfloat16",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def check_extents(checkpoint: Checkpoint) -> None:
    """Every extent lies in its file and is as long as its shape says; no bytes belong to two parts."""
    seen: dict[tuple[str, int], str] = {}
    headers: dict[str, dict[str, tuple[int, int]]] = {}
    for part in checkpoint.parts:
        for extent in part.extents:
            length = Path(extent.file).stat().st_size
            assert 0 <= extent.start < extent.stop <= length, (
                f"The extent of '{extent.key}' ends at byte {extent.stop} of a file of {length}. "
                f"Add the length of the header to the offsets, and check them against the file's size."
            )
            expected = math.prod(extent.shape) * SIZES.get(extent.dtype, 0) or extent.stop - extent.start
            assert extent.stop - extent.start == expected, (
                f"The extent of '{extent.key}' has {extent.stop - extent.start} bytes, but {extent.dtype} "
                f"{list(extent.shape)} has {expected}. Take start, stop, dtype and shape from one header entry."
            )
            ranges = headers.setdefault(extent.file, stored_ranges(Path(extent.file)))
            assert ranges.get(extent.key, (extent.start, extent.stop)) == (extent.start, extent.stop), (
                f"'{extent.key}' lies at bytes {ranges[extent.key]} of its file, not at {extent.start}. "
                f"Add the header (8 bytes and its length) to the offsets: they count from its end."
            )
            owner = seen.setdefault((extent.file, extent.start), part.path)
            assert owner == part.path, (
                f"The bytes of '{extent.key}' are in the parts '{owner}' and '{part.path}'. Give each tensor to one "
                f"part, or a streamed teacher reads it twice."
            )


def stored_ranges(file: Path) -> dict[str, tuple[int, int]]:
    """Key -> first byte and end of each tensor of a safetensors file; {} for another file."""
    if file.suffix != ".safetensors":
        return {}
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    offsets = {key: entry["data_offsets"] for key, entry in header.items() if key != "__metadata__"}
    return {key: (8 + length + start, 8 + length + stop) for key, (start, stop) in offsets.items()}


def raw_tensor(extent: Extent) -> Any:
    """The stored tensor; bytes where the type is not one of torch's."""
    import torch

    with Path(extent.file).open("rb") as stream:
        stream.seek(extent.start)
        data = bytearray(stream.read(extent.stop - extent.start))
    kind = TORCH.get(extent.dtype)
    stored = torch.frombuffer(data, dtype=getattr(torch, kind) if kind else torch.uint8)
    return stored.reshape(extent.shape) if kind else stored


def assembled(checkpoint: Checkpoint) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and tensors of each part."""
    for part in checkpoint.parts:
        yield part.path, checkpoint.assemble(part, {extent.key: raw_tensor(extent) for extent in part.extents})


def check_parts(checkpoint: Checkpoint) -> None:
    """All parts together give every parameter of the skeleton once, in its shape."""
    module = checkpoint.skeleton()
    targets = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    owners: dict[str, str] = {}
    for path, tensors in assembled(checkpoint):
        for name, tensor in tensors.items():
            assert name in targets, (
                f"`assemble` of part '{path}' gave '{name}', which the skeleton does not have. "
                f"Give full parameter names, as `skeleton().named_parameters()` does."
            )
            assert name not in owners, (
                f"The parameter '{name}' comes from the parts '{owners[name]}' and '{path}'. Give it in one."
            )
            assert shape(tensor) == shape(targets[name]), (
                f"`assemble` gave '{name}' with shape {shape(tensor)}; the skeleton has {shape(targets[name])}. "
                f"Convert (transpose, split, fuse) in `assemble`."
            )
            owners[name] = path
    given = {id(targets[name]) for name in owners}
    lost = [name for name, tensor in module.named_parameters() if id(tensor) not in given]
    assert not lost, (
        f"No part gives {len(lost)} parameters: {', '.join(lost[:5])}. "
        f"Let the parts cover the whole model (a tied weight once, under either of its names)."
    )


def check_skeleton(checkpoint: Checkpoint) -> None:
    """On the meta device, with the layers and the number of parameters of the blueprint, parts in forward order."""
    module = checkpoint.skeleton()
    devices = {str(tensor.device) for tensor in module.parameters()}
    assert devices == {"meta"}, (
        f"The skeleton lies on {', '.join(sorted(devices))}. Build it under `torch.device('meta')`: it may not fit."
    )
    count = sum(tensor.numel() for tensor in module.parameters())
    assert count == checkpoint.blueprint.parameters, (
        f"The blueprint has {checkpoint.blueprint.parameters} parameters, the skeleton {count}. Count a tied one once."
    )
    paths = {path for path, _ in module.named_modules()}
    layers = [layer for stack in checkpoint.blueprint.stacks for layer in stack.layers]
    missing = [layer for layer in layers if layer not in paths]
    assert not missing, f"The skeleton has no module '{missing[:1]}'. Give stacks the module paths of the skeleton."
    order = [part.path for part in checkpoint.parts]
    twice = [path for path, number in Counter(order).items() if number > 1]
    assert not twice, f"Two parts have the path '{twice[:1]}'. Make one of them."
    for stack in checkpoint.blueprint.stacks:
        inside = [path for path in order if path in stack.layers]
        assert inside == list(stack.layers), (
            f"The layers of '{stack.path}' are not parts in their order. Make one part of each layer, in the order "
            f"in which the forward visits them."
        )


def check_collate(checkpoint: Checkpoint, samples: Sequence[Sample]) -> None:
    """One row for each sample, the same each time."""
    batch = checkpoint.collate(samples)
    sizes = {name: shape(value)[0] for name, value in batch.items() if shape(value)}
    assert sizes and set(sizes.values()) == {len(samples)}, (
        f"`collate` of {len(samples)} samples gave first dimensions {sizes}. Give one row for each sample."
    )
    changed = same_batch(batch, checkpoint.collate(samples))
    assert not changed, (
        f"`collate` gave other {', '.join(changed)} the second time. Draw nothing at random in it (no augmentation)."
    )
