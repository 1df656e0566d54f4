"""Checks of loaders: what they claim, what they say a checkpoint is, and that its parts make the whole model."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..components import locate
from ..data import Sample
from ..installed import Installed
from ..models import Blueprint, Extent
from ..records import plain, record
from ..teachers import Architecture, Checkpoint
from ..work import Lookup
from .base import ComponentTests
from .values import same_batch, shape

SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1,
    "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
TORCH = {
    "F64": "float64", "I64": "int64", "F32": "float32", "I32": "int32", "F16": "float16", "BF16": "bfloat16",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def check_match(architecture: Architecture, sources: Sequence[str], foreign: Sequence[str]) -> None:
    """It claims its own sources, no others, and never raises."""
    for source in sources:
        claim = architecture.match(source)
        assert claim in (1, 2), (
            f"match('{source}') gave {claim!r} for a source of its own. "
            f"Return 1 (such files in general) or 2 (this very model type)."
        )
    for source in foreign:
        try:
            claim = architecture.match(source)
        except Exception as error:
            raise AssertionError(
                f"match('{source}') raised {type(error).__name__}: {error}. Return 0 for what is not yours: "
                f"every loader is asked about every source."
            ) from error
        assert claim == 0, f"match('{source}') gave {claim!r} for a foreign source. Return 0: it is not yours."


def check_blueprint(blueprint: Any) -> None:
    """It is complete, and JSON keeps it."""
    assert isinstance(blueprint, Blueprint), (
        f"`inspect` gave a {type(blueprint).__name__}. Return a nexus_specs.Blueprint."
    )
    assert record(Blueprint, json.loads(json.dumps(plain(blueprint)))) == blueprint, (
        "JSON does not keep the blueprint. Give tuples and plain str and int, no numpy or torch values and no lists."
    )
    assert blueprint.takes and blueprint.gives, (
        "The blueprint does not say what the checkpoint takes and gives. Name modalities: the tower follows from them."
    )
    assert blueprint.stacks, "The blueprint has no stack. List the repeated layers: profiling ablates them one by one."
    assert 0 < blueprint.active_parameters <= blueprint.parameters and blueprint.bytes > 0, (
        f"The blueprint has {blueprint.parameters} parameters, {blueprint.active_parameters} of them active, in "
        f"{blueprint.bytes} bytes. Count them from the headers of the weight files."
    )
    for stack in blueprint.stacks:
        lengths = {stack.count, len(stack.widths), len(stack.layer_bytes)}
        assert len(lengths) == 1, f"The stack '{stack.path}' has {stack.count} layers. Give a width and bytes for each."


def weightless(source: str, folder: Path) -> str:
    """A copy of a checkpoint whose weight files have their headers and, in place of the numbers, 0xFF."""
    origin = locate(source)
    copy = folder / "weightless" if origin.is_dir() else folder / f"weightless{origin.suffix}"
    shutil.copytree(origin, copy) if origin.is_dir() else shutil.copy(origin, copy)
    for file in copy.rglob("*.safetensors"):
        with file.open("r+b") as stream:
            start = 8 + int.from_bytes(stream.read(8), "little")
            stream.seek(start)
            stream.write(b"\xff" * (file.stat().st_size - start))
    return str(copy)


def check_reads_no_weights(architecture: Architecture, source: str, folder: Path) -> None:
    """`inspect` gives the same for a copy without numbers, and reads no more bytes than headers have."""
    if not locate(source).exists():  # more than a path, as "FOLDER#tower": its plain form is checked
        return
    copy = weightless(source, folder)
    weights = sum(file.stat().st_size for file in Path(copy).rglob("*.safetensors"))
    before = _bytes_read()
    found = architecture.inspect(copy)
    read = _bytes_read() - before
    assert found == architecture.inspect(source), (
        "`inspect` gives another blueprint when the weights are overwritten. Read configuration and headers alone."
    )
    inside = Path(copy).rglob("*") if Path(copy).is_dir() else [Path(copy)]
    plain_files = [file for file in inside if file.is_file() and file.suffix != ".safetensors"]
    others = sum(file.stat().st_size for file in plain_files)
    assert read < 4 * others + weights // 2 + 65_536, (
        f"`inspect` read {read} bytes; the weights have {weights}. Read the headers of weight files "
        f"(8 bytes of length, then JSON), not the tensors: a checkpoint may have a terabyte."
    )


def _bytes_read() -> int:
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(lines[0].split()[1])


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


class ArchitectureTests(ComponentTests):
    """A loader, on at least one small checkpoint of its own."""

    kind = "architecture"

    def sources(self) -> Sequence[str]:
        """Checkpoints that it opens."""
        raise NotImplementedError("Give `sources()`: at least one small checkpoint that the loader opens.")

    def samples(self) -> Sequence[Sample]:
        """Samples that these checkpoints take."""
        raise NotImplementedError("Give `samples()`: a few samples that the checkpoint takes.")

    def foreign(self) -> Sequence[str]:
        """Sources that belong to nobody."""
        text, empty = self.folder / "notes.txt", self.folder / "empty"
        text.write_text("no checkpoint", encoding="utf-8")
        empty.mkdir(exist_ok=True)
        return ["", str(self.folder / "missing"), str(text), str(empty)]

    def lookup(self) -> Lookup:
        """What `open` is given."""
        return Installed()

    def checkpoints(self) -> Sequence[Checkpoint]:
        """The sources, opened."""
        architecture = self.component()
        return [architecture.open(source, self.lookup()) for source in self.sources()]

    def test_it_claims_its_own_and_no_other(self) -> None:
        check_match(self.component(), self.sources(), self.foreign())

    def test_blueprint_is_complete(self) -> None:
        for source in self.sources():
            check_blueprint(self.component().inspect(source))

    def test_open_and_inspect_agree(self) -> None:
        for source, checkpoint in zip(self.sources(), self.checkpoints(), strict=True):
            check_agreement(self.component(), source, checkpoint)

    def test_inspect_reads_no_weights(self) -> None:
        for number, source in enumerate(self.sources()):
            place = self.folder / str(number)
            place.mkdir()
            check_reads_no_weights(self.component(), source, place)

    def test_extents_lie_in_their_files(self) -> None:
        for checkpoint in self.checkpoints():
            check_extents(checkpoint)

    def test_parts_make_the_whole_model(self) -> None:
        for checkpoint in self.checkpoints():
            check_parts(checkpoint)

    def test_skeleton_holds_no_numbers(self) -> None:
        for checkpoint in self.checkpoints():
            check_skeleton(checkpoint)

    def test_collate_is_deterministic(self) -> None:
        for checkpoint in self.checkpoints():
            check_collate(checkpoint, self.samples())


def check_agreement(architecture: Architecture, source: str, checkpoint: Checkpoint) -> None:
    """`open` and `inspect` say the same."""
    assert architecture.inspect(source) == checkpoint.blueprint, (
        f"`inspect` and `open` give two blueprints for '{source}'. Make it in one function that both call."
    )
