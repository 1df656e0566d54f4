"""What a layer gave, as JSON: its structure with the storages by number, so that the same can be built without it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from nexus_specs import resolve
from torch import Tensor

from ..memory.tracking import Ledger
from ..outputs.deferring import Deferred

TRUSTED = ("transformers.", "diffusers.")
"""Packages whose output classes are named in a checkpoint of states and made again."""


class NotStorable(Exception):
    """Something that cannot be built again from a file."""


def describe(value: Any, ledger: Ledger) -> Any:
    """A layer's output as JSON. NotStorable where it holds what no forward made: views of weights, foreign objects."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    if isinstance(value, Deferred):
        raise NotStorable("logits that were not made")
    if isinstance(value, Tensor):
        return _tensor(value, ledger)
    if type(value) in (tuple, list):
        return {type(value).__name__: [describe(each, ledger) for each in value]}
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        kind = type(value)
        made = {name: describe(each, ledger) for name, each in value.items()}
        if kind is dict:
            return {"dict": made}
        if isinstance(value, OrderedDict) and kind.__module__.startswith(TRUSTED):
            return {"class": f"{kind.__module__}:{kind.__qualname__}", "dict": made}
    raise NotStorable(type(value).__name__)


def build(description: Any, ledger: Ledger) -> Any:
    """The same structure on storages of the same numbers; those that are not there yet are made, filled with zeros."""
    if "value" in description:
        return description["value"]
    if "shape" in description:
        return _built(description, ledger)
    if "class" in description:
        kind = resolve(description["class"])
        if not description["class"].startswith(TRUSTED) or not issubclass(kind, OrderedDict):
            raise NotStorable(description["class"])
        return kind(**{name: build(each, ledger) for name, each in description["dict"].items()})
    if "dict" in description:
        return {name: build(each, ledger) for name, each in description["dict"].items()}
    made = [build(each, ledger) for each in description.get("tuple", description.get("list"))]
    return tuple(made) if "tuple" in description else made


def numbers(description: Any) -> Iterator[list[int]]:
    """The storages of a structure that are the forward's own."""
    if isinstance(description, dict):
        if "number" in description:
            if "of" not in description:
                yield description["number"]
            return
        description = list(description.values())
    if isinstance(description, list):
        for each in description:
            yield from numbers(each)


def _tensor(value: Tensor, ledger: Ledger) -> dict[str, Any]:
    storage = value.untyped_storage()
    owner = next((each for each in (ledger, *ledger.family.ledgers) if storage._cdata in each.numbers), None)
    if owner is None:
        raise NotStorable("a tensor that no operation of the forward made")
    number = owner.numbers[storage._cdata]
    of = {} if owner is ledger else {"of": ledger.family.ledgers.index(owner)}
    return of | {
        "number": [owner.segment - number[0] if number[0] >= 0 else -1, number[1]],
        "bytes": storage.nbytes(),
        "dtype": str(value.dtype).removeprefix("torch."),
        "shape": list(value.shape),
        "stride": list(value.stride()),
        "offset": value.storage_offset(),
    }


def _built(description: Mapping[str, Any], ledger: Ledger) -> Tensor:
    back, place = description["number"]
    owner = ledger.family.ledgers[description["of"]] if "of" in description else ledger
    number = (owner.segment - back, place) if back >= 0 else (-1, place)
    try:
        storage = owner.storage(number)
    except KeyError:
        if back or owner is not ledger:
            raise NotStorable(f"the storage {number}") from None
        storage = torch.zeros(description["bytes"], dtype=torch.uint8).untyped_storage()
        ledger.register(storage, number)
    kind = getattr(torch, description["dtype"])
    return torch.empty(0, dtype=kind).set_(
        storage, description["offset"], tuple(description["shape"]), tuple(description["stride"])
    )
