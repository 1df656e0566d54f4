"""Ranges of a file on a hub, one after the other, into one file on the disk."""

from __future__ import annotations

import os
from functools import partial

from nexus_torch import hub

from .rolling_plan import Item


def fetch(item: Item, watch: hub.Watch) -> None:
    """From where an earlier process stopped; the file appears when it is whole. HubError names the tensors."""
    try:
        _complete(item, watch)
    except hub.HubError as error:
        names = ", ".join(repr(each.key) for each in item.tensors[:3])
        more = " …" if len(item.tensors) > 3 else ""
        raise type(error)(f"{error} It was asked for the tensors {names}{more}.") from error


def _complete(item: Item, watch: hub.Watch) -> None:
    part = item.path.with_name(item.path.name + ".part")
    with hub.room_for(item.address, part), part.open("ab") as out:
        if out.tell() > item.size:
            out.truncate(0)
        at = out.tell()
        for start, stop in item.ranges:
            skip = min(at, stop - start)
            at -= skip
            for block in hub.stream(item.address, start + skip, stop, partial(watch, 0)):
                out.write(block)
                watch(len(block))
        out.flush()
        os.fsync(out.fileno())
    part.replace(item.path)
