"""One row of the table: an architecture, opened by Nexus and compared with transformers."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nexus_engine_sli.weights.units import LARGE
from nexus_specs import Installed, NexusError
from torch import Tensor, nn

from .checkpoint import Tiny, make
from .comparing import TABLE, States, difference, loaded, observed, plain
from .drawn import PLAIN, Drawn
from .inputs import batch_of
from .making import Arguments
from .refusing import Refused, Stage
from .table import OURS, THEIRS, Row, empty
from .watching import Watched

PLACE = re.compile(r"(?<![\w/:])(?:/[\w.+-]+)+/")
"""A folder of this machine; not what an address on the web goes on with."""
AGREE = 1e-5
"""The largest relative difference in float32."""
DEEP = 6
"""Layers that a stack must have for streaming to be proven by it."""


def row(model_type: str, head: str, drawn: Drawn = PLAIN) -> Row:
    """The row. Where something failed, `whose` says whether plain transformers does without us, and `reason` how."""
    found = empty(model_type, head)
    with tempfile.TemporaryDirectory(prefix="nexus-tiny-") as place:
        try:
            tiny = make(model_type, head, Path(place), drawn)
            with Stage("load", model_type, head):
                module = loaded(tiny)
                plain(module, [], batch_of(tiny.samples))
        except Refused as error:
            return found | {"whose": error.whose, "reason": f"{error.stage}: {said(error.cause)}"}
        try:
            _compare(found, tiny, module)
        except Exception as error:
            found |= {"whose": OURS, "reason": said(error)}
    return found


def _compare(found: Row, tiny: Tiny, module: nn.Module) -> None:
    checkpoint = Installed().make("architecture", "transformers").open(str(tiny.folder), Installed())
    blueprint = checkpoint.blueprint
    found["opened"] = True
    found["takes"] = list(blueprint.takes)
    found["stacks"] = {stack.path: stack.count for stack in blueprint.stacks}
    end = "logits" if blueprint.gives == ("text",) else "output"
    layers = [layer for stack in blueprint.stacks for layer in stack.layers]
    try:
        batch, theirs, resident = _both(checkpoint, module, _together(checkpoint, tiny.samples), layers, end)
    except NexusError:                                      # towers that put all pictures into one row: one at a time
        batch, theirs, resident = _both(checkpoint, module, tiny.series[: tiny.each], layers, end)
    taps = list(theirs)
    layers = [layer for layer in taps if layer != end]
    apart = difference(resident, theirs)
    found["difference"] = apart if math.isfinite(apart) else None
    found["agree"] = apart <= AGREE
    if not found["agree"]:
        found |= _why_apart(plain(module, layers, batch)[0], theirs, resident)
    try:
        why = _streaming(found["stacks"], checkpoint, tiny, taps)
    except Exception as error:
        why = said(error)
    found["streamed"] = not why
    found["reason"] = found["reason"] or (f"stream: {why}" if why else "")


def _together(checkpoint: Any, samples: list[Arguments]) -> list[Arguments]:
    """Of these samples those that may be one batch with the first one."""
    return [samples[at] for at in checkpoint.groups([_sample(each) for each in samples])[0]]


def _both(
    checkpoint: Any, module: nn.Module, samples: list[Arguments], layers: Sequence[str], end: str
) -> tuple[Any, States, States]:
    """A batch, and the states of the layers that run for it and its output, of transformers and of a resident
    teacher."""
    batch = checkpoint.collate([_sample(each) for each in samples])
    theirs, output = plain(module, layers, batch)
    read = checkpoint.read(output, batch).outputs[end]
    theirs[end] = [read if isinstance(read, Tensor) else torch.cat([each.flatten() for each in read])]
    return batch, theirs, observed(checkpoint, samples, len(samples), list(theirs), "resident")


def _why_apart(again: States, theirs: States, resident: States) -> Row:
    """Whose it is: transformers' where its own forward gives something else the second time."""
    first = {path: [each.float().flatten() for each in theirs[path]] for path in again}
    if difference(first, again) > AGREE:
        return {"whose": THEIRS, "reason": "forward: transformers gives other numbers for the same inputs again"}
    path = worst(resident, theirs)
    return {"whose": OURS, "reason": f"differs by {difference(resident, {path: theirs[path]}):.2g} at {path}"}


def _streaming(stacks: Mapping[str, int], checkpoint: Any, tiny: Tiny, taps: Sequence[str]) -> str:
    """Why streaming is not proven by this checkpoint; "" where it is: several different batches, whose forwards are
    under way together, give the bits that they give one after the other in a resident model."""
    resident = observed(checkpoint, tiny.series, tiny.each, taps, "resident")
    complaint = ""
    for table in (TABLE, LARGE):                            # a table of queries is small in every real model
        watched = Watched(checkpoint)
        with watched.counting():
            streamed = observed(watched, tiny.series, tiny.each, taps, "stream", table)
        if difference(streamed, resident) != 0:
            return f"not exact at {worst(streamed, resident)}"
        if not (complaint := watched.complaint(len(tiny.series) // tiny.each)):
            break
    return complaint or ("" if max(stacks.values(), default=0) >= DEEP else f"no stack of {DEEP} layers")


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
