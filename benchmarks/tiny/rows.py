"""One row of the table: an architecture, opened by Nexus and compared with transformers."""

from __future__ import annotations

import math
import re
import tempfile
from pathlib import Path
from typing import Any

from nexus_specs import Installed

from .checkpoint import Tiny, make
from .comparing import Counted, difference, observed, plain
from .inputs import batch_of
from .table import Row, empty

PLACE = re.compile(r"(?<!\w)(?:/[\w.+-]+)+/")
AGREE = 1e-5
"""The largest relative difference in float32."""
DEEP = 6
"""Layers that a stack must have for streaming to be proven by it."""


def row(model_type: str, head: str) -> Row:
    """The row. `opened` and `agree` are ours; a `reason` that begins with "transformers:" is its own failure."""
    found = empty(model_type, head)
    with tempfile.TemporaryDirectory(prefix="nexus-tiny-") as place:
        try:
            tiny = make(model_type, head, Path(place))
            plain(tiny, [], batch_of(tiny.samples))
        except Exception as error:
            return found | {"reason": f"transformers: {said(error)}"}
        try:
            _compare(found, tiny)
        except Exception as error:
            found["reason"] = said(error)
    return found


def _compare(found: Row, tiny: Tiny) -> None:
    checkpoint = Installed().make("architecture", "transformers").open(str(tiny.folder), Installed())
    blueprint = checkpoint.blueprint
    found["opened"] = True
    found["takes"] = list(blueprint.takes)
    found["stacks"] = {stack.path: stack.count for stack in blueprint.stacks}
    end = "logits" if blueprint.gives == ("text",) else "output"
    layers = [layer for stack in blueprint.stacks for layer in stack.layers]
    batch = checkpoint.collate([_sample(each) for each in tiny.samples])
    theirs, output = plain(tiny, layers, batch)
    layers = [layer for layer in layers if layer in theirs]             # some do not run for these inputs
    theirs[end] = [checkpoint.read(output, batch).outputs[end]]
    taps = [*layers, end]
    resident = observed(checkpoint, tiny, taps, "resident")
    apart = difference(resident, theirs)
    found["difference"] = apart if math.isfinite(apart) else None
    found["agree"] = apart <= AGREE
    if not found["agree"]:
        found["reason"] = f"differs by {apart:.2g} at {worst(resident, theirs)}"
    try:
        counted = Counted(checkpoint)
        streamed = observed(counted, tiny, taps, "stream")
        exact = difference(streamed, resident) == 0
        deep = max(found["stacks"].values(), default=0) >= DEEP
        found["streamed"] = exact and counted.once and deep
        if not found["streamed"] and not found["reason"]:
            why = "not exact" if not exact else "a part is read twice" if not counted.once else "no stack of 6 layers"
            found["reason"] = f"stream: {why}"
    except Exception as error:
        found["reason"] = found["reason"] or f"stream: {said(error)}"


def worst(ours: Any, theirs: Any) -> str:
    """The tap that differs most."""
    return max(theirs, key=lambda path: difference(ours, {path: theirs[path]}))


def said(error: BaseException) -> str:
    """An exception in one short line, without the folders of this machine."""
    text = PLACE.sub("", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:300]}"


def _sample(fields: Any) -> Any:
    from nexus_specs import Sample, content_key

    return Sample(key=content_key(fields), fields=fields)
