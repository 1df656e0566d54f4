"""Headers of safetensors files on the hub: where every tensor lies, without its bytes.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cache import write_whole
from .errors import HubError
from .listing import notes, resolve
from .names import Address
from .ranges import stream

LIMIT, MOST_VALUES = 32 << 20, 1_000_000
"""The largest header that is read: bytes, and values, each of which takes some sixty bytes once it is read."""


def header(address: Address) -> tuple[dict[str, Any], int]:
    """The entries by tensor name, and the offset at which the tensors begin. Two ranges are read the first time; what
    was read is kept beside the listing."""
    raw = head(address)
    if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise HubError(f"'{address}' has a header of more values than any checkpoint. Name another revision.")
    try:
        entries = json.loads(raw[8:])
        assert isinstance(entries, dict)
    except (ValueError, AssertionError) as error:
        raise HubError(f"'{address}' has a damaged safetensors header. Name another revision.") from error
    entries.pop("__metadata__", None)
    return entries, len(raw)


def head(address: Address) -> bytes:
    """The first bytes of the file, as far as the tensors."""
    kept = kept_head(address)
    if kept.is_file():
        return kept.read_bytes()
    size = _size(address)
    first = b"".join(stream(address, 0, min(8, size)))
    length = int.from_bytes(first, "little")
    if len(first) < 8 or not 0 < length <= min(LIMIT, size - 8):
        raise HubError(f"'{address}' does not begin with a safetensors header. Name another revision.")
    raw = first + b"".join(stream(address, 8, 8 + length))
    write_whole(kept, raw)
    return raw


def kept_head(address: Address) -> Path:
    """Where the first bytes of a file are kept: a fetch of the file begins with them."""
    return notes(address.hub) / "heads" / (address.file.replace("/", "--") + ".head")


def _size(address: Address) -> int:
    file = resolve(address.hub).files.get(address.file)
    if file is None:
        raise HubError(f"'{address}' is not on the hub: that commit has no such file. Name another revision.")
    return file.size
