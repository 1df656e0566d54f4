"""The hashes of a teacher's tensors, taken while it is opened: what an engine reads passes through the loader's
`assemble`, so nothing is read for them alone, and what rolls through a small disk is hashed before it goes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs import Checkpoint, Extent, Part
from nexus_torch.identity import legible, stored_hashes, tensor_hash
from nexus_torch.making import Making
from torch import Tensor

NOTES = "tensors.jsonl"
EXPERTS = 3
"""Dimensions of a weight that holds a matrix for each of several experts."""
RANGE = re.compile(r"(?P<key>.*) (?P<start>\d+):(?P<stop>\d+)")


class Hashing:
    """A checkpoint that notes the hash of every tensor that passes through it.

    Of what was packed (FP8, four bits, GGUF's blocks), the unpacked values are hashed, as the loader gives them: those
    that a student could hold. Experts that are one weight are hashed one by one then, since that is how they come.
    With a folder, the notes outlive the process.

    >>> watched = Hashing(checkpoint, threads=2, folder=scratch)        # doctest: +SKIP
    >>> with engine.load(watched, budget) as teacher: ...               # doctest: +SKIP
    >>> hashes, unknown = watched.found()                               # doctest: +SKIP
    """

    def __init__(self, checkpoint: Checkpoint, threads: int = 1, folder: Path = Path()) -> None:
        self.checkpoint, self.threads = checkpoint, max(1, threads)
        self.path = folder / NOTES if folder != Path() else None
        self.extents: dict[str, set[Extent]] = {}
        for part in checkpoint.parts:
            for extent in part.extents:
                self.extents.setdefault(extent.key, set()).add(extent)
        self.noted: dict[str, list[str]] = _read(self.path)
        """By stored key; with a range of bytes behind it, of the values that were unpacked from there."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.checkpoint, name)

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the checkpoint does, and hashes what came in, and what came out of a pack."""
        if any(tensor.is_meta for tensor in raw.values()):  # somebody asks for names
            return self.checkpoint.assemble(part, raw)
        came = [extent for extent in part.extents if extent.key in raw]
        whole = [extent for extent in came if self.extents.get(extent.key) == {extent}]
        plain = [extent.key for extent in whole if not self._packed(extent)]
        self._write(self._hashed({key: raw[key] for key in plain if key not in self.noted}))
        made = self.checkpoint.assemble(part, raw)
        packs = [_range(extent) for extent in came if self._packed(extent)]
        if all(pack in self.noted for pack in packs):
            return made
        if isinstance(made, Making):
            return self._noting(made, packs, whole=len(whole) == len(came))
        if len(whole) == len(came) or all(tensor.ndim == EXPERTS for tensor in made.values()):
            self._note(packs, self._hashed(_matrices(made)).values())
        return made

    def _noting(self, made: Making, packs: Sequence[str], *, whole: bool) -> Making:
        """The same weights, each hashed as it is made; noted with the last of them. Parts of weights (not `whole`) tell
        nothing, unless they are experts. None is made narrow (`Making.narrow`): its hash would be of rounded values,
        and another one with each precision of a run."""
        found: dict[str, list[list[str]]] = {}
        apart = set[str]()

        def make(name: str) -> Tensor:
            tensor = made[name]
            if name not in found:
                found[name] = list(self._hashed(_matrices({name: tensor})).values())
                apart.update([name] if tensor.ndim == EXPERTS else [])
                if len(found) == len(made) and (whole or len(apart) == len(made)):
                    self._note(packs, [each for group in found.values() for each in group])
            return tensor

        return Making(made, make)

    def _note(self, packs: Sequence[str], found: Iterable[list[str]]) -> None:
        """Hashes of values, beside the ranges of bytes of which they were made."""
        self._write({pack: [] for pack in packs} | {packs[0]: sorted({each for hashes in found for each in hashes})})

    def found(self) -> tuple[list[str], int]:
        """Sorted hashes, each once; what never passed is read here, if it lies here. And the number of tensors whose
        values nobody saw."""
        every = [extent for group in self.extents.values() for extent in group]
        unread = [each for each in every if each.key not in self.noted and not self._packed(each)]
        hashes = {*stored_hashes(unread), *(each for group in self.noted.values() for each in group)}
        unknown = {each.key for each in unread if not legible(each)}
        unpacked = _unpacked(self.noted)
        unknown |= {each.key for each in every if self._packed(each) and unpacked[each.key] < each.stop - each.start}
        return sorted(hashes), len(unknown)

    def _packed(self, extent: Extent) -> bool:
        """Whether a stored tensor is a pack's and no weight yet: its configuration says so, or it holds bytes (GGUF
        keeps everything so)."""
        quantised = bool(self.checkpoint.blueprint.quantisation)
        return extent.dtype == "U8" or (quantised and extent.dtype.startswith(("F8", "I8", "I32")))

    def _hashed(self, tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
        """Several at a time: hashing takes one thread each, and longer than reading."""
        if self.threads == 1 or len(tensors) < 2:
            found = list(map(tensor_hash, tensors.values()))
        else:
            with ThreadPoolExecutor(self.threads, thread_name_prefix="hash") as pool:
                found = list(pool.map(tensor_hash, tensors.values()))
        return {name: [each] if each else [] for name, each in zip(tensors, found, strict=True)}

    def _write(self, found: Mapping[str, list[str]]) -> None:
        self.noted |= found
        if self.path and found:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps([key, hashes]) + "\n" for key, hashes in found.items())


def _range(extent: Extent) -> str:
    return f"{extent.key} {extent.start}:{extent.stop}"


def _unpacked(noted: Iterable[str]) -> Counter[str]:
    """How many bytes of each stored tensor were unpacked, in one piece or in several."""
    found: Counter[str] = Counter()
    for name in noted:
        if (place := RANGE.fullmatch(name)) is not None:
            found[place["key"]] += int(place["stop"]) - int(place["start"])
    return found


def _matrices(made: Mapping[str, Any]) -> dict[str, Tensor]:
    """Unpacked weights, experts one by one: the same ones however a large layer is divided."""
    found: dict[str, Tensor] = {}
    for name, tensor in made.items():
        found |= {f"{name} {at}": each for at, each in enumerate(tensor)} if tensor.ndim == EXPERTS else {name: tensor}
    return found


def _read(path: Path | None) -> dict[str, list[str]]:
    """What an earlier process noted; a line that a kill cut short is left out."""
    found: dict[str, list[str]] = {}
    if path is not None and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                key, hashes = json.loads(line)
                found[key] = hashes
    return found
