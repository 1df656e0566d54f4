"""`nexus extract SOURCE --taps` on a streamed teacher: killed, or stopped by what is wrong with its files or the disk,
the same command goes on, and the shards are those of an undisturbed one, byte for byte."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import random
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.files import reading
from nexus_engine_sli.resuming import checkpoints
from nexus_engine_sli.rooms import transport
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.running import streaming
from nexus_engine_sli.weights import units
from nexus_observe.tapping import Taps
from nexus_observe.unfinished import request
from nexus_specs import Checkpoint, Installed, Machine, NexusError
from nexus_specs.testing.killing import Doom
from nexus_torch.shards import ShardWriter

FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """This machine, measured once for all extractions here: each would take most of a second for it."""
    return Sli().machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    """Limits for a model of a hundred kilobytes: states are written at every layer, and spilled."""
    monkeypatch.setattr(Sli, "machine", lambda self, folder: machine)
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    monkeypatch.setattr(streaming, "LEAST", 1 << 13)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, deep: Callable[[Path], None]) -> Path:
    folder = tmp_path_factory.mktemp("deep")
    deep(folder)
    return folder


@pytest.fixture
def own(teacher: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(teacher, tmp_path / "own"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = ({"text": f"Line {at} {'of a corpus ' * (at % 4)}"} for at in range(17))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def extract(source: Path, texts: Path, out: Path, **more: Any) -> int:
    options = {"taps": "1,4", "memory": "300KB", "residency": "stream", "micro_batch": 2, "threads": 1, **more}
    return Taps(source=str(source), data=str(texts), out=out, **options)(Installed())


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


EVENTS = ((Streamed, "enter"), (ShardWriter, "put"), (ShardWriter, "flush"), (checkpoints.Checkpoints, "_row"))


def apart(source: Path, texts: Path, out: Path, at: int, notes: Path, disk: int) -> None:
    """In a process of its own, killed at event `at` (0: never); notes the units that were brought, and the events."""
    torch.set_num_threads(1)
    doom, brought = Doom(at), list[str]()
    for kind, name in EVENTS:
        doom.before(kind, name)
    take = transport.InPlace.take
    transport.InPlace.take = lambda self, unit: (brought.append(unit.path), take(self, unit))[1]  # type: ignore[method-assign]
    if disk:
        streaming.LEAST = 1 << 20                           # states stay in memory, so that only copies of them need it
        budget = Taps._budget
        Taps._budget = lambda self, *given: replace(budget(self, *given), disk=disk)  # type: ignore[method-assign]
    extract(source, texts, out)
    notes.write_text(f"{len(brought)} {doom.count}")


def run(source: Path, texts: Path, out: Path, at: int = 0, disk: int = 0) -> tuple[int, int]:
    notes = out.with_suffix(".notes")
    process = FORK.Process(target=apart, args=(source, texts, out, at, notes, disk))
    process.start()
    process.join(900)
    assert process.exitcode == (-signal.SIGKILL if at else 0)
    brought, events = notes.read_text().split() if not at else ("0", "0")
    return int(brought), int(events)


@dataclass(frozen=True)
class Undisturbed:
    """What an extraction gives that nothing disturbs: the units that were brought, the events, the shards."""

    count: int
    events: int
    files: dict[str, bytes]


@pytest.fixture
def whole(teacher: Path, texts: Path, once: dict[str, Undisturbed], tmp_path: Path) -> Undisturbed:
    """Made once, under the limits of `tiny`."""
    if not once:
        count, events = run(teacher, texts, tmp_path / "whole")
        once["whole"] = Undisturbed(count, events, files(tmp_path / "whole"))
    return once["whole"]


@pytest.fixture(scope="module")
def once() -> dict[str, Undisturbed]:
    return {}


def test_killed_anywhere_the_shards_are_the_same(
    teacher: Path, texts: Path, whole: Undisturbed, tmp_path: Path
) -> None:
    events = whole.events
    moments = random.Random(2)
    for at in (moments.randrange(events // 2), events // 2, events // 3):
        run(teacher, texts, tmp_path / "killed", at)
        assert not (tmp_path / "killed").exists(), "the result appears as a whole"
    assert run(teacher, texts, tmp_path / "killed")[0] < whole.count, "it went on at the layer where it was"
    assert files(tmp_path / "killed") == whole.files
    assert not list(tmp_path.glob(".*.part"))


def test_without_room_for_states_it_says_so_and_begins_again(
    teacher: Path, texts: Path, whole: Undisturbed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(teacher, texts, tmp_path / "killed", whole.events // 2, disk=9000)
    assert "The states are not kept (they take more than half of the 9,000 bytes of disk)" in capfd.readouterr().err
    assert run(teacher, texts, tmp_path / "killed")[0] == whole.count
    assert files(tmp_path / "killed") == whole.files


KEY = "model.layers.3.mlp.up_proj.weight"


def shard(folder: Path, key: str = KEY) -> Path:
    return folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][key]


def place(path: Path, key: str = KEY) -> tuple[int, int]:
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    first, last = json.loads(raw[8 : 8 + size])[key]["data_offsets"]
    return 8 + size + first, 8 + size + last


def truncated(folder: Path) -> Iterator[str]:
    """Shorter than its header says, before anything begins."""
    path = shard(folder)
    os.truncate(path, place(path)[1] - 8)
    yield rf"{path.name}' is shorter than its header says, from the tensor '{KEY}' on"


def not_finite(folder: Path) -> Iterator[str]:
    """A weight of a layer that holds a NaN."""
    path = shard(folder)
    with path.open("r+b") as file:
        file.seek(place(path)[0])
        file.write(b"\0\0\xc0\x7f")
    yield rf"'{KEY}' holds values that are not finite.*{path.name}"


def other_shape(folder: Path) -> Iterator[str]:
    """A weight of as many numbers, in another shape."""
    path = shard(folder)
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    header[KEY]["shape"] = header[KEY]["shape"][::-1]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    path.write_bytes(raw[:8] + text + raw[8 + size :])
    yield rf"'{KEY}' of 'own' has the shape.*{path.name}"


def no_entry(folder: Path) -> Iterator[str]:
    """A weight that the index does not name, in a file that it does not name either."""
    index = folder / "model.safetensors.index.json"
    known, path = json.loads(index.read_text()), shard(folder)
    known["weight_map"] = {key: name for key, name in known["weight_map"].items() if name != path.name}
    index.write_text(json.dumps(known))
    path.unlink()
    yield rf"no weights for \d+ tensors.*{KEY.removesuffix('.weight')}|{KEY}"


def gone(folder: Path) -> Iterator[str]:
    """A file that is named and not there."""
    path = shard(folder)
    path.unlink()
    yield path.name


def bad_header(folder: Path) -> Iterator[str]:
    """A header that is no JSON."""
    path = shard(folder)
    raw = bytearray(path.read_bytes())
    raw[9:40] = b"\xff" * 31
    path.write_bytes(bytes(raw))
    yield rf"{path.name}.*damaged safetensors header"


@pytest.mark.parametrize("damage", [truncated, not_finite, other_shape, no_entry, gone, bad_header])
def test_what_is_wrong_with_a_file_is_named_and_once_it_is_mended_the_same_command_goes_on(
    damage: Callable[[Path], Iterator[str]], own: Path, teacher: Path, texts: Path, whole: Undisturbed, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (expected,) = damage(own)
    with pytest.raises(NexusError, match=expected):
        extract(own, texts, out)
    assert not out.exists()
    for path in teacher.iterdir():
        if not (own / path.name).is_file() or (own / path.name).read_bytes() != path.read_bytes():
            shutil.copyfile(path, own / path.name)
    extract(own, texts, out)
    assert files(out) == whole.files


def test_a_resident_teacher_names_weights_that_are_not_finite_too(own: Path, texts: Path, tmp_path: Path) -> None:
    (expected,) = not_finite(own)
    with pytest.raises(NexusError, match=expected):
        extract(own, texts, tmp_path / "out", residency="resident", memory="1GB")


def test_a_file_that_shrinks_while_it_is_read_is_named_and_the_layers_before_are_kept(
    own: Path, texts: Path, whole: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, path = tmp_path / "out", shard(own)
    raw, start, chunk, brought = path.read_bytes(), place(path)[0], reading.Reader._chunk, list[str]()

    def shrinking(self: Any, extents: Any, where: Any, first: int, *more: Any) -> None:
        if where.file == str(path) and any(each.key == KEY for each in extents):
            os.truncate(path, start + 4)
        chunk(self, extents, where, first, *more)

    with monkeypatch.context() as patched:
        patched.setattr(reading.Reader, "_chunk", shrinking)
        with pytest.raises(NexusError, match=rf"{path.name}' ends inside the tensor '.*What was recorded so far stays"):
            extract(own, texts, out)
    assert (tmp_path / ".out.part" / "scratch" / "states" / "states.json").is_file()
    path.write_bytes(raw)
    take = transport.InPlace.take
    monkeypatch.setattr(transport.InPlace, "take", lambda self, unit: (brought.append(unit.path), take(self, unit))[1])
    extract(own, texts, out)
    assert files(out) == whole.files
    assert brought[0] != "model.layers.0", "the layers before it did not pass again"


def test_a_full_disk_is_said_and_what_was_recorded_stays(
    teacher: Path, texts: Path, whole: Undisturbed, tmp_path: Path
) -> None:
    shards = tmp_path / ".out.part" / "shards"
    stuck = shards / "shard-00000.safetensors.part"
    begin = ShardWriter.__init__

    def full(self: Any, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        shards.mkdir(exist_ok=True)
        stuck.symlink_to("/dev/full")                       # what is written there finds no room

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ShardWriter, "__init__", full)
        with pytest.raises(NexusError, match=r"is full\. Free some room.*stays"):
            extract(teacher, texts, tmp_path / "out")
    stuck.unlink()
    extract(teacher, texts, tmp_path / "out")
    assert files(tmp_path / "out") == whole.files


def test_other_work_in_the_folder_is_not_taken_over(
    own: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for name, change in (("layers", {"taps": "2"}), ("weights", {}), ("settings", {})):
        run(own, texts, out, 40)
        if name == "weights":
            os.utime(shard(own), (1, 1))
        elif name == "settings":
            known = json.loads((own / "config.json").read_text())
            (own / "config.json").write_text(json.dumps(known | {"rms_norm_eps": 0.1}))
        extract(own, texts, out, **change)
        assert "It begins again" in capsys.readouterr().err, name
        shutil.rmtree(out)


def test_settings_are_those_of_the_teacher_alone(tmp_path: Path) -> None:
    """Of a part of a pipeline the whole folder's count, of one file none: others come and go beside it."""
    def settings(source: str, file: Path) -> Any:
        part = SimpleNamespace(extents=[SimpleNamespace(key="a", file=str(file), start=0, stop=4, dtype="F32")])
        return request(source, cast("Checkpoint", SimpleNamespace(parts=[part])), [], [])["settings"]

    weights, single = tmp_path / "pipe" / "unet" / "model.safetensors", tmp_path / "one.gguf"
    for file in (weights, single, scheduler := tmp_path / "pipe" / "scheduler" / "config.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    before = settings(f"{tmp_path}/pipe#unet&height=8", weights), settings(str(single), single)
    scheduler.write_text('{"steps": 1}')
    (tmp_path / "notes.txt").write_text("fetched since")
    after = settings(f"{tmp_path}/pipe#unet&height=8", weights), settings(str(single), single)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True]


def test_the_result_may_stand_beside_the_weights(
    own: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(own, texts, own / "out", 40)
    assert extract(own, texts, own / "out") == 0
    assert "It begins again" not in capsys.readouterr().err


def test_what_decides_the_bits_stays_as_it_began(own: Path, texts: Path, whole: Undisturbed, tmp_path: Path) -> None:
    run(own, texts, tmp_path / "out", 40)
    with pytest.raises(NexusError, match=r"--micro-batch 3: this extraction began with --micro-batch 2, "):
        extract(own, texts, tmp_path / "out", micro_batch=3)
    with pytest.raises(NexusError, match=r"--threads 2: this extraction began with --threads 1, .* another --out\.$"):
        extract(own, texts, tmp_path / "out", threads=2)
    assert json.loads((tmp_path / ".out.part" / "request.json").read_text())["files"], "files are still looked at"
    extract(own, texts, tmp_path / "out", micro_batch=0)
    assert files(tmp_path / "out") == whole.files


def test_two_at_once_do_not_write_the_same(teacher: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    with (tmp_path / ".out.part" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(NexusError, match="another process is writing it"):
            extract(teacher, texts, tmp_path / "out")
