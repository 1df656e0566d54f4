"""Weights from a hub: into the shared cache, or rolling through a disk that does not hold them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nexus_engine_sli.files import fetching, ranging
from nexus_engine_sli.files.fetching import Cached, Here, files_for
from nexus_engine_sli.files.proving import Damaged
from nexus_engine_sli.files.reading import read
from nexus_engine_sli.files.rolling import Rolling
from nexus_specs import Budget, Extent, NexusError
from nexus_specs.testing.hub import LocalHub
from nexus_torch import hub
from nexus_torch.files import write_tensors
from nexus_torch.hugging_face.folder import extents as stored

LAYERS, FILES = 12, 6
SIZE = 40_000
"""Bytes of a tensor; a layer has two."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two layers a file, two tensors a layer; the embedding in the first, norm and head in the last."""
    home = tmp_path / "source"
    home.mkdir()
    (home / "config.json").write_text("{}")
    generator = torch.Generator().manual_seed(0)
    for number in range(FILES):
        tensors = {
            f"layers.{2 * number + at}.{name}": torch.randn(SIZE // 4, generator=generator)
            for at in range(2)
            for name in "ab"
        }
        if number == 0:
            tensors["embed"] = torch.randn(5000, generator=generator)
        if number == FILES - 1:
            tensors |= {"norm": torch.randn(40), "head": torch.randn(5000, generator=generator)}
        write_tensors(home / f"part-{number}.safetensors", tensors)
    return home


def groups_of(extents: list[Extent]) -> list[tuple[Extent, ...]]:
    """What is read at once: what is little, the embedding, the layers, the head."""
    by_key = {each.key: each for each in extents}
    layers = [tuple(by_key[f"layers.{at}.{name}"] for name in "ab") for at in range(LAYERS)]
    return [(by_key["norm"],), (by_key["embed"],), *layers, (by_key["head"],)]


def opened(server: LocalHub, source: Path) -> list[tuple[Extent, ...]]:
    server.add("acme/large", source)
    return groups_of(stored(hub.snapshot("acme/large")))


def take(files: fetching.Files, groups: list[tuple[Extent, ...]], *, reach: bool = True) -> dict[str, torch.Tensor]:
    """Reads all groups as an engine does."""
    found: dict[str, torch.Tensor] = {}
    for group in groups:
        if reach:
            files.reach(group)
        placed = files.place(group)
        for each in placed:
            files.local(each.file)
        found |= read(placed)
        files.done(group)
    return found


def check(found: dict[str, torch.Tensor], source: Path) -> None:
    expected = read(stored(source))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def total(source: Path) -> int:
    return sum(path.stat().st_size for path in source.glob("*.safetensors"))


def served(server: LocalHub) -> int:
    return sum(size for name, size in server.served.items() if name.endswith(".safetensors"))


CHILD = """
import json, os, signal, sys
from pathlib import Path
from nexus_engine_sli.files.fetching import files_for
from nexus_specs import Budget
from nexus_torch import hub
from nexus_torch.hugging_face.folder import extents

by_key = {each.key: each for each in extents(hub.snapshot("acme/large"))}
groups = [tuple(by_key[key] for key in group) for group in json.loads(sys.argv[1])]
files = files_for(groups, Budget(disk=int(sys.argv[2]), scratch=Path(sys.argv[3])), small=1)
for group in groups[:8]:
    files.reach(group)
    placed = files.place(group)
    [files.local(each.file) for each in placed]
    if group is groups[7]:
        os.kill(os.getpid(), signal.SIGKILL)
    files.done(group)
"""
"""Another process, which is killed when its eighth group is on the disk."""


class Watched:
    """The most bytes that a folder held, looked at all the time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most, self.over = folder, 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self) -> None:
        while not self.over.wait(0.001):
            before = self.files()
            if before.keys() == self.files().keys():         # else one that went meanwhile and one that came add up
                self.most = max(self.most, sum(before.values()))

    def files(self) -> dict[tuple[str, int], int]:
        """Name and number of what is there -> bytes."""
        found = {}
        for path in self.folder.glob("*"):
            with suppress(FileNotFoundError):
                about = path.stat()
                found[path.name, about.st_ino] = about.st_size
        return found

    def __enter__(self) -> Watched:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def test_what_is_here_stays_where_it_is(source: Path) -> None:
    groups = groups_of(stored(source))
    files = files_for(groups)
    assert isinstance(files, Here)
    assert files.place(groups[2]) == groups[2]
    check(take(files, groups), source)


def test_what_fits_is_fetched_once_into_the_shared_cache(server: LocalHub, source: Path) -> None:
    groups = opened(server, source)
    server.drops, server.drop_after = 5, 30_000
    files = files_for(groups, Budget(disk=10**9))
    assert isinstance(files, Cached)
    check(take(files, groups), source)
    files.close()
    assert served(server) == total(source)
    again = groups_of(stored(hub.snapshot("acme/large")))
    assert isinstance(files_for(again), Here)
    check(take(files_for(again), again), source)
    assert served(server) == total(source)


def test_five_times_the_budget_with_dropped_connections(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    server.drops, server.drop_after = 20, 30_000
    budget = Budget(disk=total(source) // 5, scratch=tmp_path / "scratch")
    with Watched(tmp_path / "scratch" / "fetch") as watched:
        files = files_for(groups, budget, small=1)
        check(take(files, groups), source)
    assert isinstance(files, Rolling)
    files.close()
    assert server.drops == 0
    assert served(server) == total(source)
    assert 0 < watched.most <= files.holding.peak <= budget.disk
    assert not list((tmp_path / "scratch" / "fetch").iterdir())


def test_files_larger_than_the_budget_come_by_ranges(server: LocalHub, source: Path, tmp_path: Path) -> None:
    whole = read(stored(source))
    for path in source.glob("*.safetensors"):
        path.unlink()
    write_tensors(source / "model.safetensors", whole)
    groups = opened(server, source)
    server.drops, server.drop_after = 9, 20_000
    budget = Budget(disk=total(source) // 5, scratch=tmp_path / "scratch")
    files = files_for(groups, budget, small=1)
    check(take(files, groups), source)
    assert isinstance(files, Rolling)
    files.close()
    assert served(server) == total(source)
    assert files.holding.peak <= budget.disk


def test_a_resident_model_passes_through_a_small_disk_too(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    budget = Budget(disk=total(source) // 3, scratch=tmp_path / "scratch")
    files = files_for(groups, budget, resident=True)
    check(take(files, groups, reach=False), source)
    assert isinstance(files, Rolling)
    files.close()
    assert files.holding.peak <= budget.disk


def test_a_second_pass_fetches_again(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    files = files_for(groups, Budget(disk=total(source) // 4, scratch=tmp_path / "scratch"), small=1)
    check(take(files, groups), source)
    once = served(server)
    found = take(files, groups[1:])
    files.close()
    expected = read(stored(source))
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    assert served(server) <= 2 * once


def test_reaching_back_and_ahead_is_right_all_the_same(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    files = files_for(groups, Budget(disk=total(source) // 4, scratch=tmp_path / "scratch"), small=1)
    expected = read(stored(source))
    for at in (0, 1, 5, 2, 14, 3, 9, 1):
        files.reach(groups[at])
        for number in (at, 14 - at):                         # a layer, and what it borrows
            found = take(files, [groups[number]], reach=False)
            assert all(torch.equal(value, expected[key]) for key, value in found.items())
    files.close()
    assert isinstance(files, Rolling)
    assert files.holding.peak <= files.holding.limit


def test_a_killed_pass_goes_on_with_what_is_there(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    budget = Budget(disk=total(source) // 3, scratch=tmp_path / "scratch")
    keys = json.dumps([[each.key for each in group] for group in groups])
    child = [sys.executable, "-c", CHILD, keys, str(budget.disk), str(budget.scratch)]
    done = subprocess.run(child, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr
    here = [path for path in (tmp_path / "scratch" / "fetch").iterdir() if not path.name.endswith(".part")]
    before = served(server)
    files = files_for(groups, budget, small=1)
    found = take(files, [groups[0], *groups[7:]])
    files.close()
    expected = read(stored(source))
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    assert here
    assert served(server) - before <= total(source) - 3 * 4 * SIZE


def test_a_damaged_file_names_itself(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    server.damaged["acme/large/part-3.safetensors"] = 2
    files = files_for(groups, Budget(disk=total(source) // 2, scratch=tmp_path / "scratch"), small=1)
    with pytest.raises(NexusError, match=r"part-3.safetensors' came damaged twice"):
        take(files, groups)
    files.close()


def by_ranges(groups: list[tuple[Extent, ...]], source: Path, tmp_path: Path) -> Rolling:
    """A budget in which two layers, and so no file, fit."""
    files = files_for(groups, Budget(disk=total(source) // 5, scratch=tmp_path / "scratch"), small=1)
    assert isinstance(files, Rolling)
    assert not any(item.whole for item in files.plan.items)
    return files


def test_ranges_are_held_against_the_hash_of_the_whole_file(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    server.drops, server.drop_after = 9, 20_000
    files = by_ranges(groups, source, tmp_path)
    check(take(files, groups), source)
    files.close()
    late = [name for name in files.unproven if "part-" in name]
    assert len(late) <= 2, "names of layers 9 and 10 stand in another order, and head and norm before the layers"
    assert served(server) == total(source), "each byte once"


def test_a_server_that_sends_whole_files_for_ranges_is_left(
    server: LocalHub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer would fetch the whole file again."""
    monkeypatch.setattr("nexus_torch.hub.ranges.MANY", 1 << 10)
    groups = opened(server, source)
    server.ranges = False
    files = by_ranges(groups, source, tmp_path)
    with pytest.raises(NexusError, match=r"sends the whole of '.*' where a part is asked for.*--disk.*tensors 'layers"):
        take(files, groups)
    files.close()
    assert served(server) < 3 * total(source), "four connections side by side"


def test_a_damaged_range_names_file_and_tensor(server: LocalHub, source: Path, tmp_path: Path) -> None:
    groups = opened(server, source)
    server.damaged["acme/large/part-3.safetensors"] = 1
    files = by_ranges(groups, source, tmp_path)
    with pytest.raises(Damaged, match=r"part-3.safetensors' came damaged: .*now came for 'layers\.7\.b'\."):
        take(files, groups)
    files.close()
    left = {path.name.split("-")[0] for path in (tmp_path / "scratch" / "fetch").iterdir()}
    damaged = hub.resolve(hub.parse("acme/large")).files["part-3.safetensors"]  # type: ignore[arg-type]
    assert damaged.key not in left, "they are fetched anew"
    again = by_ranges(groups, source, tmp_path)
    check(take(again, groups), source)
    again.close()


def test_ranges_of_an_earlier_process_that_divided_otherwise_are_no_others(
    server: LocalHub, source: Path, tmp_path: Path
) -> None:
    """Layers have equal sizes, so that number and size would not tell them apart."""
    groups = opened(server, source)
    files = by_ranges(groups, source, tmp_path)
    take(files, groups[:6])
    files.close()
    left = {path.name for path in (tmp_path / "scratch" / "fetch").iterdir()}
    assert left
    other = by_ranges([groups[0], *groups[2:], groups[1]], source, tmp_path)
    assert left & {item.path.name for item in other.plan.items}, "what is the same is used"
    check(take(other, other.groups), source)
    other.close()


def test_an_order_in_which_no_hash_can_be_known_is_said(server: LocalHub, source: Path, tmp_path: Path) -> None:
    whole = read(stored(source))
    for path in source.glob("*.safetensors"):
        path.unlink()
    write_tensors(source / "model.safetensors", whole)      # layers 10 and 11 before 2
    files = by_ranges(opened(server, source), source, tmp_path)
    check(take(files, files.groups), source)
    files.close()
    assert [name.rpartition("/")[2] for name in files.unproven] == ["model.safetensors"]


def test_an_answer_that_is_another_file_is_refused(
    server: LocalHub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = opened(server, source)
    files = by_ranges(groups, source, tmp_path)
    listing = hub.resolve(hub.parse("acme/large"))  # type: ignore[arg-type]
    name = "part-3.safetensors"
    for change, said in (({"sha256": "0" * 64}, "its hash is"), ({"size": 7}, "another size than the 7 bytes")):
        other = replace(listing, files={**listing.files, name: replace(listing.files[name], **change)})
        with monkeypatch.context() as patched:
            patched.setattr("nexus_torch.hub.ranges.resolve", lambda _, other=other: other)
            with pytest.raises(NexusError, match=rf"answers 'hub:acme/large@.*{name}'.*{said}.*'layers\.6\.a'"):
                ranging.fetch(next(item for item in files.plan.items if item.address.file == name), lambda _: None)
    files.close()


def test_a_budget_below_one_layer_is_refused_before_the_first_byte(
    server: LocalHub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = opened(server, source)
    before = served(server)
    with pytest.raises(NexusError, match=r"needs 80 KB of disk at a time, and 50 KB may be used.*run\.disk"):
        files_for(groups, Budget(disk=50_000, scratch=tmp_path / "scratch"))
    usage = shutil.disk_usage(source)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=hub.fetching.RESERVE + 1000))
    with pytest.raises(NexusError, match=r"on the disk of .* may be used\. Free some"):
        files_for(groups, Budget(disk=10**6, scratch=tmp_path / "scratch"))
    assert served(server) == before
