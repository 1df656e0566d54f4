"""A bounded reader of GGUF headers: nothing is allocated, followed or looped over before the file is known to hold it.

gguf's own reader maps the file and trusts it: 64 bytes that promise 2^60 entries hang it. Here every count, length,
type, dimension and offset is checked first; long values stay in the file and are read when they are asked for.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .beginnings import BEGINNING, begun
from .bytes import Cursor
from .types import ARRAY, BLOCKS, SCALARS, STRING, TensorInfo, type_name

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LARGEST_METADATA, LARGEST_TENSORS = 1 << 14, 1 << 16
"""Entries: real files have less than 100 and less than 50,000."""
LARGEST_READ = 62 << 20
"""Bytes of memory that all arrays together may take when they are read; the largest vocabulary (262,144 tokens, 514,906
merges, types and scores) takes about 57 MiB."""
STRING_COST, NUMBER_COST, PACKED_COST = 64, 40, 8
"""Bytes of memory of an element besides those of a string's text."""
MANY = 1 << 16
"""Numbers of an array from which on it stays packed (`array.array`)."""
LARGEST_KEPT = 8 << 20
"""Bytes of all keys and short strings: real files have less than 10,000."""
SHORT = 256
"""Bytes of a string that is kept; a longer one stays in the file."""
NAME_LIMIT, KEY_LIMIT = 256, 65535
MOST_DIMENSIONS = 4
DEFAULT_ALIGNMENT, LARGEST_ALIGNMENT = 32, 1 << 16


@dataclass(frozen=True, slots=True)
class Stored:
    """A value that stays in the file: a long string, or an array of `count` elements of one type."""

    kind: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What one file says: its metadata (long values as `Stored`) and its tensors by name."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)


def scan(path: Path) -> Scan:
    """The header of a file. NexusError, with file, field and position, for whatever is not sound."""
    with Cursor(path) as cursor:
        _magic(cursor)
        cursor.field = "the number of tensors"
        tensors = _count(cursor, LARGEST_TENSORS)
        cursor.field = "the number of metadata entries"
        entries = _count(cursor, LARGEST_METADATA)
        metadata = _metadata(cursor, entries)
        infos = _infos(cursor, tensors)
        return Scan(path, metadata, _placed(cursor, infos, _alignment(cursor, metadata)))


def heading(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """The values of these keys, as far as they stand before the tokenizer's: it is the longest, and comes last."""
    found: dict[str, Any] = {}
    with Cursor(path) as cursor:
        _magic(cursor)
        cursor.take(8)
        cursor.field = "the number of metadata entries"
        for _ in range(_count(cursor, LARGEST_METADATA)):
            key = cursor.text(KEY_LIMIT)
            if key.startswith("tokenizer.") or len(found) == len(keys):
                break
            value = _value(cursor, cursor.number("I"), LARGEST_READ)
            if key in keys:
                found[key] = value
    return found


def _magic(cursor: Cursor) -> None:
    first = cursor.peek(BEGINNING)
    if not first.startswith(MAGIC):
        raise cursor.wrong(f"a GGUF file begins with {MAGIC!r}, and this {begun(first)}")
    cursor.skip(len(MAGIC))
    cursor.field = "the version"
    version = cursor.number("I")
    if version & 0xFFFF == 0 and version:
        raise cursor.wrong("it was written big-endian; convert it with `gguf-convert-endian FILE little`")
    if version not in VERSIONS:
        raise cursor.wrong(f"version {version}, and only versions {VERSIONS} are read; convert the model again")


def _count(cursor: Cursor, limit: int) -> int:
    found = cursor.number("Q")
    if found > limit:
        raise cursor.wrong(f"{found}, more than the {limit} that are allowed")
    return found


def _metadata(cursor: Cursor, entries: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kept = read = 0
    for index in range(entries):
        cursor.field = f"the key of metadata entry {index}"
        key = cursor.text(KEY_LIMIT)
        cursor.field = f"metadata '{key[:80]}'"
        if key in found:
            raise cursor.wrong("the key occurs twice")
        value = _value(cursor, cursor.number("I"), LARGEST_READ - read)
        read += cost(value) if isinstance(value, Stored) else 0
        kept += len(key) + (len(value) if isinstance(value, str) else 0)
        if kept > LARGEST_KEPT:
            raise cursor.wrong(f"keys and short values of more than {LARGEST_KEPT} bytes")
        if read > LARGEST_READ:
            raise cursor.wrong(f"arrays that take more than {LARGEST_READ >> 20} MiB")
        found[key] = value
    return found


def cost(value: Stored) -> int:
    """The memory that an array takes once it is read, in bytes; 0 for a text."""
    if value.kind == STRING:
        return 0
    if value.kind - ARRAY - 1 == STRING:
        return value.stop - value.start + (STRING_COST - 8) * value.count
    return (PACKED_COST if value.count > MANY else NUMBER_COST) * value.count


def _value(cursor: Cursor, kind: int, left: int) -> Any:
    """A value; `left` is the memory that arrays may still take."""
    if kind in SCALARS:
        letter = SCALARS[kind]
        found = cursor.take(struct.calcsize(f"<{letter}"))
        return bool(found[0]) if letter == "?" else struct.unpack(f"<{letter}", found)[0]
    if kind == STRING:
        return _string(cursor)
    if kind != ARRAY:
        raise cursor.wrong(f"the value type {kind}, which does not exist")
    inner, count = cursor.number("I"), cursor.number("Q")
    each = STRING_COST if inner == STRING else PACKED_COST if count > MANY else NUMBER_COST
    if count * each > left:
        raise cursor.wrong(f"an array of {count} elements; {left // each} are allowed here")
    start = cursor.position
    if inner in SCALARS:
        cursor.skip(count * struct.calcsize(f"<{SCALARS[inner]}"))
    elif inner == STRING:
        cursor.skip_strings(count)
    else:
        raise cursor.wrong(f"an array of the type {inner}: only numbers and strings are allowed in arrays")
    return Stored(ARRAY + 1 + inner, count, start, cursor.position)


def _string(cursor: Cursor) -> Any:
    length = cursor.number("Q")
    start = cursor.position
    if length > SHORT:
        cursor.skip(length)
        return Stored(STRING, 1, start, start + length)
    return cursor.take(length).decode("utf-8", "replace")


def _alignment(cursor: Cursor, metadata: Mapping[str, Any]) -> int:
    cursor.field = "metadata 'general.alignment'"
    found = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(found, int) or not 1 <= found <= LARGEST_ALIGNMENT or found & (found - 1):
        raise cursor.wrong(f"{found!r}; a power of two up to {LARGEST_ALIGNMENT} is allowed")
    return found


def _infos(cursor: Cursor, count: int) -> dict[str, TensorInfo]:
    """The tensors, `start` and `stop` still relative to where the data begins."""
    found: dict[str, TensorInfo] = {}
    for index in range(count):
        cursor.field = f"the name of tensor {index}"
        name = cursor.text(NAME_LIMIT)
        cursor.field = f"tensor '{name}'"
        if name in found:
            raise cursor.wrong("the name occurs twice")
        found[name] = _info(cursor, name)
    return found


def _info(cursor: Cursor, name: str) -> TensorInfo:
    dimensions = cursor.number("I")
    if dimensions > MOST_DIMENSIONS:
        raise cursor.wrong(f"{dimensions} dimensions; up to {MOST_DIMENSIONS} are allowed")
    lengths = tuple(cursor.number("Q") for _ in range(dimensions))
    kind, offset = cursor.number("I"), cursor.number("Q")
    if kind not in BLOCKS:
        raise cursor.wrong(f"the tensor type {kind}, which this version of gguf does not know")
    if any(length == 0 for length in lengths):
        raise cursor.wrong(f"a dimension of zero: {lengths}")
    block, size = BLOCKS[kind]
    elements = math.prod(lengths)
    if elements // block * size > cursor.size:
        raise cursor.wrong(f"{elements} elements of {type_name(kind)} are more than the whole file holds")
    if (row := lengths[0] if lengths else 1) % block:
        raise cursor.wrong(f"rows of {row} elements are not whole blocks of {block} ({type_name(kind)})")
    return TensorInfo(name, lengths[::-1], kind, offset, offset + elements // block * size)


def _placed(cursor: Cursor, infos: Mapping[str, TensorInfo], alignment: int) -> dict[str, TensorInfo]:
    """The tensors with absolute offsets: aligned, inside the file, none over another."""
    data = -(-cursor.position // alignment) * alignment
    end, last = 0, ""
    found = {}
    for info in sorted(infos.values(), key=lambda each: each.start):
        cursor.field = f"tensor '{info.name}'"
        if info.start % alignment:
            raise cursor.wrong(f"the offset {info.start} is no multiple of {alignment}")
        if info.start < end:
            raise cursor.wrong(f"it overlaps with '{last}'")
        if data + info.stop > cursor.size:
            raise cursor.wrong(f"it ends at byte {data + info.stop}, and the file at byte {cursor.size}")
        end, last = info.stop, info.name
        found[info.name] = TensorInfo(info.name, info.shape, info.kind, data + info.start, data + info.stop)
    return {name: found[name] for name in infos}
