"""Tensors of samples that wait for their shard, on the disk: appended, read by place, whole up to where a kill cut.

A streamed teacher finishes layer by layer for the whole corpus, so every sample waits for its last record until the
end: in memory that would be the whole result. Record: lengths of header and payload, header (JSON), payload, CRC-32.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .naming import naming

LENGTHS, CHECK = struct.Struct("<II"), struct.Struct("<I")
Name = tuple[str, str]
"""(key of the sample, name of the record)."""
Place = tuple[int, dict[str, tuple[str, list[int]]]]
"""Where the payload begins, and {part: (dtype, shape)} in the order in which they lie there."""


class Journal:
    """One file of waiting tensors.

    >>> journal = Journal(path); journal.append(("key", "tokens"), {"tokens": ids}); journal.sync()  # doctest: +SKIP
    """

    def __init__(self, path: Path) -> None:
        self.path, self.places = path, dict[Name, Place]()
        self.file, self.end = -1, 0
        if path.is_file():
            self._open()
            self._scan()

    def append(self, name: Name, tensors: Mapping[str, Tensor]) -> None:
        """Writes the tensors of one record; durable after `sync`."""
        if self.file < 0:
            self._open()
        parts = {part: (str(each.dtype).removeprefix("torch."), list(each.shape)) for part, each in tensors.items()}
        header = json.dumps([*name, parts]).encode()
        payload = b"".join(_bytes(each) for each in tensors.values())
        whole = LENGTHS.pack(len(header), len(payload)) + header + payload
        whole += CHECK.pack(zlib.crc32(whole))
        done = 0
        with naming(self.path, [f"{name[1]} of {name[0]}"]):
            while done < len(whole):
                done += os.pwrite(self.file, whole[done:], self.end + done)
        self.places[name] = (self.end + LENGTHS.size + len(header), parts)
        self.end += len(whole)

    def read(self, name: Name) -> dict[str, Tensor]:
        """The tensors of a record."""
        at, parts = self.places[name]
        found = {}
        for part, (dtype, shape) in parts.items():
            kind = getattr(torch, dtype)
            size = kind.itemsize * torch.Size(shape).numel()
            data = bytearray(os.pread(self.file, size, at))
            found[part] = torch.frombuffer(data, dtype=kind).reshape(shape) if size else torch.empty(shape, dtype=kind)
            at += size
        return found

    def sync(self) -> None:
        """What was appended survives from here on."""
        if self.file >= 0:
            with naming(self.path):
                os.fsync(self.file)

    def remove(self) -> None:
        """Everything found its shard."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
        self.path.unlink(missing_ok=True)
        self.places, self.end = {}, 0

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _scan(self) -> None:
        size = os.fstat(self.file).st_size
        while self.end + LENGTHS.size + CHECK.size <= size:
            start = os.pread(self.file, LENGTHS.size, self.end)
            header, payload = LENGTHS.unpack(start)
            length = LENGTHS.size + header + payload
            if self.end + length + CHECK.size > size:
                break
            whole = os.pread(self.file, length + CHECK.size, self.end)
            if CHECK.unpack(whole[length:])[0] != zlib.crc32(whole[:length]):
                break
            key, name, parts = json.loads(whole[LENGTHS.size : LENGTHS.size + header])
            kinds = {part: (dtype, shape) for part, (dtype, shape) in parts.items()}
            self.places[key, name] = (self.end + LENGTHS.size + header, kinds)
            self.end += length + CHECK.size
        os.ftruncate(self.file, self.end)

    def __del__(self) -> None:
        if getattr(self, "file", -1) >= 0:
            os.close(self.file)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.flatten().contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
