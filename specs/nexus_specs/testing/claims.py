"""Checks of loaders: what they claim, and what they say a checkpoint is without reading its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoint
from ..components import locate
from ..models import Blueprint
from ..records import plain, record
from ..teachers import Architecture


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
    expected = architecture.inspect(source)  # and imports what it needs, which would count as read
    for attempt in range(3):  # what other threads of this process read counts, too
        place = folder / f"attempt-{attempt}"
        place.mkdir()
        copy = weightless(source, place)
        before = _bytes_read()
        found = architecture.inspect(copy)
        read = _bytes_read() - before
        assert found == expected, (
            "`inspect` gives another blueprint when the weights are overwritten. Read configuration and headers alone."
        )
        weights = sum(file.stat().st_size for file in Path(copy).rglob("*.safetensors"))
        if read < _enough(copy, weights):
            return
    raise AssertionError(
        f"`inspect` read {read} bytes; the weights have {weights}. Read the headers of weight files "
        f"(8 bytes of length, then JSON), not the tensors: a checkpoint may have a terabyte."
    )


def _enough(copy: str, weights: int) -> int:
    """More bytes than anybody has to read who leaves the numbers alone."""
    inside = Path(copy).rglob("*") if Path(copy).is_dir() else [Path(copy)]
    others = sum(file.stat().st_size for file in inside if file.is_file() and file.suffix != ".safetensors")
    return 4 * others + weights // 2 + 65_536


def _bytes_read() -> int:
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(lines[0].split()[1])


def check_agreement(architecture: Architecture, source: str, checkpoint: Checkpoint) -> None:
    """`open` and `inspect` say the same."""
    assert architecture.inspect(source) == checkpoint.blueprint, (
        f"`inspect` and `open` give two blueprints for '{source}'. Make it in one function that both call."
    )
