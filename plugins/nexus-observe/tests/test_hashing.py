"""Hashes of a teacher's tensors, taken in the one reading that a profile needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_observe import hashing
from nexus_observe.hashing import NOTES, Hashing
from nexus_observe.profiling import ProfileStage
from nexus_profile_niwt import states
from nexus_specs import Budget, Extent, Installed, Part
from nexus_torch.files import write_tensors
from nexus_torch.identity import stored_hashes, tensor_hash
from nexus_torch.making import Making
from torch import Tensor


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("residency", ["resident", "offload", "stream"])
def test_a_profile_reads_its_teacher_once(
    residency: Any, bench: Any, sources: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = files(bench.run("profile", "prose"))
    checkpoint = Installed().open(str(sources["prose"]))
    every = stored_hashes(extent for part in checkpoint.parts for extent in part.extents)
    assert json.loads(expected["tensors.json"]) == {"tensors": every}, "as if the files had been hashed"

    unread: list[Extent] = []
    loads: list[list[str]] = []
    close = Streamed.close
    monkeypatch.setattr(hashing, "stored_hashes", lambda extents: unread.extend(extents) or [])
    monkeypatch.setattr(Streamed, "close", lambda self: (loads.append(self.loads), close(self))[1])
    monkeypatch.setattr(states, "room_for", lambda *_: 1 << 20)
    budget = Budget(scratch=tmp_path / "scratch", residency=residency, threads=2)
    context = bench.context("profile", "prose", tmp_path / "again", budget=budget)
    ProfileStage().run(context)
    assert files(context.artefact) == expected
    assert not unread, "nothing is read for its hash alone"
    if residency == "stream":
        (once,) = loads
        assert len(once) == len(set(once)), "no unit came twice: the states were kept"
    assert not (tmp_path / "scratch" / "states.journal").exists()


@dataclass
class Loader:
    """A loader of which only `assemble` matters: `scale` unpacks, "experts" become one weight."""

    parts: tuple[Part, ...]
    blueprint: Any = field(default_factory=lambda: SimpleNamespace(quantisation="fp8"))

    def assemble(self, part: Part, raw: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        values = {key: value.float() * 2 if value.dtype.itemsize == 1 else value for key, value in raw.items()}
        experts = [value for key, value in values.items() if "experts" in key]
        return {key: value for key, value in values.items() if "experts" not in key} | (
            {"experts": torch.cat([each if each.ndim == 3 else each[None] for each in experts])} if experts else {}
        )


def part(folder: Path, tensors: Mapping[str, Tensor], names: Mapping[Any, str], path: str = "a") -> Part:
    write_tensors(folder / f"{path}.safetensors", tensors)
    extents, at = [], 0
    for key, value in tensors.items():
        extents.append(Extent(key=key, file=str(folder / "gone"), start=at, stop=at + value.nbytes,
                              dtype=names[value.dtype], shape=tuple(value.shape)))  # fmt: skip
        at += value.nbytes
    return Part(path=path, extents=tuple(extents))


NAMES = {torch.float8_e4m3fn: "F8_E4M3", torch.float32: "F32", torch.uint8: "U8"}


def test_what_was_packed_is_known_by_the_values_that_a_student_could_hold(tmp_path: Path) -> None:
    packed, norm, raw = torch.randn(4, 4).to(torch.float8_e4m3fn), torch.randn(4), torch.arange(8, dtype=torch.uint8)
    given = part(tmp_path, {"packed": packed, "norm": norm, "raw": raw}, NAMES)
    watched = Hashing(Loader((given,)), folder=tmp_path)    # type: ignore[arg-type]
    assert watched.found() == ([], 3), "the files are gone: nothing is known of any of them"
    watched.assemble(given, {"packed": packed.to("meta"), "norm": norm.to("meta"), "raw": raw.to("meta")})
    assert watched.found()[1] == 3, "tensors without values say nothing"
    watched.assemble(given, {"packed": packed, "norm": norm, "raw": raw})
    expected = {tensor_hash(each) for each in (packed.float() * 2, norm, raw.float() * 2)}
    assert watched.found() == (sorted(expected), 0)
    with (tmp_path / NOTES).open("a") as file:
        file.write('["cut sho')
    again = Hashing(Loader((given,)), folder=tmp_path)      # type: ignore[arg-type]
    assert again.found() == watched.found(), "after a kill, what was seen is known"
    before = (tmp_path / NOTES).read_bytes()
    again.assemble(given, {"packed": packed, "norm": norm, "raw": raw})
    assert (tmp_path / NOTES).read_bytes() == before, "once is enough"


def test_weights_that_are_made_one_by_one_are_hashed_as_they_are_made(tmp_path: Path) -> None:
    packed = {name: torch.randn(4, 4).to(torch.float8_e4m3fn) for name in ("a", "b")}
    given = part(tmp_path, packed, NAMES)
    asked: list[str] = []
    lazy = Loader((given,))
    values = lazy.assemble(given, packed)
    lazy.assemble = lambda *_: Making(values, lambda name: (asked.append(name), values[name])[1])  # type: ignore[method-assign]
    watched = Hashing(lazy)                                 # type: ignore[arg-type]
    made = watched.assemble(given, packed)
    assert not asked
    assert torch.equal(made["a"], values["a"])
    assert watched.found() == ([], 2), "one of two says nothing of what both were packed in"
    assert torch.equal(made["b"], values["b"])
    assert watched.found() == (sorted(map(tensor_hash, values.values())), 0)
    assert asked == ["a", "b"], "none is made for its hash alone"


def cut(given: Part, first: int, count: int) -> Part:
    (extent,) = given.extents
    row = (extent.stop - extent.start) // extent.shape[0]
    some = replace(extent, start=first * row, stop=(first + count) * row, shape=(count, *extent.shape[1:]))
    return Part(path=given.path, extents=(some,))


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_experts_are_known_one_by_one_however_they_come(tmp_path: Path, at_once: int) -> None:
    packed = torch.randn(4, 3, 2).to(torch.float8_e4m3fn)
    given = part(tmp_path, {"experts": packed}, NAMES)
    watched = Hashing(Loader((given,)))                     # type: ignore[arg-type]
    for first in range(0, 4, at_once):
        watched.assemble(cut(given, first, at_once), {"experts": packed[first : first + at_once]})
    hashes, unknown = watched.found()
    assert (set(hashes), unknown) == ({tensor_hash(each.float() * 2) for each in packed}, 0)


def test_rows_of_a_packed_weight_say_nothing_of_it(tmp_path: Path) -> None:
    packed = torch.randn(4, 3).to(torch.float8_e4m3fn)
    given = part(tmp_path, {"weight": packed}, NAMES)
    watched = Hashing(Loader((given,)))                     # type: ignore[arg-type]
    for first in (0, 2):
        watched.assemble(cut(given, first, 2), {"weight": packed[first : first + 2]})
    assert watched.found() == ([], 1)
