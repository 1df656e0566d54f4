"""The store: nothing that is damaged is used, nothing that is whole is lost."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nexus_specs import NexusError, Unit

from nexus_host.store import (
    Store,
    artefacts,
    damage,
    file_hash,
    read,
    replacing,
    sweep,
    verified,
    write_bytes,
    write_json,
)
from nexus_host.store import atomic as atomic_module
from nexus_host.store.hashes import Remembered

UNIT = Unit(stage="train", subject="prose", fingerprint="0123456789ab")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def make(store, unit=UNIT, text="weights"):
    staging = store.staging(unit)
    (staging / "tower").mkdir()
    (staging / "tower" / "model.bin").write_text(text * 100)
    (staging / "notes.txt").write_text(text)
    return store.commit(unit, staging, {"options": {"steps": 3}}, {"nexus-toy": "1.0"})


def test_an_artefact_says_what_it_is_made_of_and_equal_work_gives_equal_bytes(store, tmp_path):
    folder = make(store)
    note = (folder / "artefact.json").read_bytes()
    assert read(folder).facts == {"options": {"steps": 3}}
    assert store.damage(UNIT) == ""
    assert verified(folder) == folder
    assert make(Store(tmp_path / "other")).joinpath("artefact.json").read_bytes() == note
    assert [each.unit for each in store.every()] == [UNIT]


def test_an_artefact_that_is_not_there_is_not_damaged(store, tmp_path):
    assert store.damage(UNIT) is None
    assert store.every() == []
    assert read(tmp_path) is None


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one bit": flip,
    "from elsewhere": lambda path: path.write_text("{}"),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["artefact.json", "tower/model.bin"])
def test_every_damage_is_found_before_use(store, how, name):
    folder = make(store)
    DAMAGE[how](folder / name)
    assert Path(name).name in store.damage(UNIT)
    with pytest.raises(NexusError, match=r"is damaged: .*Run again"):
        verified(folder)


def test_a_file_that_was_added_is_damage_too(store):
    folder = make(store)
    (folder / "tower" / "extra.bin").write_text("not mine")
    assert damage(folder) == "tower/extra.bin was added"


def test_a_note_of_another_schema_is_no_artefact(store):
    folder = make(store)
    (folder / "artefact.json").write_text('{"schema": "nexus.artefact/9"}')
    assert read(folder) is None
    assert damage(folder)


def test_a_damaged_artefact_is_set_aside(store):
    make(store, text="first")
    kept = store.quarantine(UNIT)
    assert store.damage(UNIT) is None
    assert (kept / "notes.txt").read_text() == "first"
    make(store, text="second")
    assert (store.quarantine(UNIT) / "notes.txt").read_text() == "second"


@pytest.mark.parametrize("name", ["artefact.json", "tower/model.bin"])
def test_the_copy_of_a_small_artefact_is_used_while_it_is_intact(store, name):
    folder = make(store)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    flip(folder / name)
    assert store.bring_back(UNIT)
    assert store.damage(UNIT) == ""
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    flip(store.copy(UNIT) / name)
    flip(folder / name)
    assert not store.bring_back(UNIT)
    assert Path(name).name in store.damage(UNIT)


def test_of_a_large_artefact_no_copy_is_kept(store, monkeypatch):
    monkeypatch.setattr(artefacts, "SMALL", 600)
    make(store)
    assert not store.copy(UNIT).exists()
    assert not store.bring_back(UNIT)


def test_a_copy_for_which_there_is_no_room_is_done_without(store, tmp_path):
    (tmp_path / artefacts.COPIES).touch()
    assert store.damage(make(store) and UNIT) == ""


def test_an_intact_copy_brings_an_artefact_back(store, tmp_path):
    folder = make(store)
    note = json.loads((folder / "artefact.json").read_text())
    before = (folder / "artefact.json").read_bytes()
    copy = tmp_path / "copy"
    (copy / "tower").mkdir(parents=True)
    for name in note["files"]:
        (copy / name).write_bytes((folder / name).read_bytes())
    flip(folder / "tower" / "model.bin")
    assert store.restore(UNIT, note, copy)
    assert store.damage(UNIT) == ""
    assert (folder / "artefact.json").read_bytes() == before
    flip(copy / "notes.txt")
    assert not store.restore(UNIT, note, copy)


def test_a_unit_may_not_write_the_hosts_own_file(store):
    staging = store.staging(UNIT)
    (staging / "artefact.json").write_text("mine")
    with pytest.raises(NexusError, match="Choose another name"):
        store.commit(UNIT, staging, {}, {})


def test_what_is_written_is_the_old_content_or_the_new(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"b": 1, "a": 2})
    assert path.read_text().index('"a"') < path.read_text().index('"b"')

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert json.loads(path.read_text()) == {"a": 2, "b": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(atomic_module, "exchange", lambda *paths: False)
    for text in ("old", "new"):
        with replacing(tmp_path / "release") as folder:
            folder.mkdir()
            (folder / text).write_text(text)
    assert [each.name for each in (tmp_path / "release").iterdir()] == ["new"]
    assert [each.name for each in tmp_path.iterdir()] == ["release"]


def test_files_get_the_mode_that_the_user_wants(store):
    staging = store.staging(UNIT)
    (staging / "private.bin").write_text("as safetensors writes it")
    (staging / "private.bin").chmod(0o600)
    folder = store.commit(UNIT, staging, {}, {})
    (plain := folder.parent / "plain").write_text("")
    assert stat.S_IMODE((folder / "private.bin").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_sweep_removes_what_a_kill_left(store, tmp_path):
    folder = make(store)
    store.staging(Unit(stage="train", subject="code", fingerprint="f" * 12))
    (tmp_path / ".nexus-making-status.json-1").write_text("half")
    sweep(tmp_path, ["artefacts"])
    assert [each.name for each in tmp_path.rglob(".nexus-making-*")] == []
    assert damage(folder) == ""


def test_a_full_disk_costs_nothing_that_was_there(tmp_path):
    path = tmp_path / "state.json"
    write_bytes(path, b"old")
    code = (
        "import resource, sys; from pathlib import Path; from nexus_host.store import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(Path(sys.argv[1]), b'x' * 5000)"
    )
    line = [sys.executable, "-c", code, str(path)]
    found = subprocess.run(line, capture_output=True, text=True)
    assert found.returncode == 1
    assert "File too large" in found.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


WRITER = """
import sys
from pathlib import Path
from nexus_host.store import write_bytes
number = 0
print("ready", flush=True)
while True:
    number += 1
    write_bytes(Path(sys.argv[1]), bytes([number % 256]) * 2_000_000)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file.bin"
    for delay in (0.02, 0.05, 0.09):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = path.read_bytes() if path.exists() else b""
        assert len(data) in (0, 2_000_000)
        assert len(set(data)) <= 1


def test_hashes_are_remembered_until_a_file_changes(tmp_path):
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    path = tmp_path / "tree" / "inner" / "a.txt"
    path.write_text("a")
    os.utime(path, (1, 1))
    remembered = Remembered(tmp_path / "hashes.json")
    first = remembered.tree(tmp_path / "tree")
    remembered.save()
    path.write_text("b")
    os.utime(path, (1, 1))  # the same size and time: it is believed
    assert Remembered(tmp_path / "hashes.json").tree(tmp_path / "tree") == first
    path.write_text("b")
    assert Remembered(tmp_path / "hashes.json").tree(tmp_path / "tree") != first
    (tmp_path / "tree" / ".hidden").write_text("does not count")
    path.write_text("a")
    assert remembered.tree(tmp_path / "tree") == first
    assert remembered.tree(path) == file_hash(path)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("a")
    os.utime(tmp_path / "file", (1, 1))
    remembered = Remembered(tmp_path / "file" / "hashes.json")
    remembered.tree(tmp_path / "file")
    remembered.save()


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("how", ["signal=KILL", "error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("call", ["fsync:{}:when=1", "fsync:{}:when=2", "rename,renameat,renameat2:{}:when=1"])
def test_a_write_that_fails_at_any_step_leaves_the_old_content_or_the_new(tmp_path, call, how):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    code = "import sys; from pathlib import Path; from nexus_host.store.atomic import write_bytes\n"
    code += "write_bytes(Path(sys.argv[1]), b'new')"
    inject = ["strace", "-f", "-o", os.devnull, "-e", f"inject={call.format(how)}"]
    found = subprocess.run([*inject, sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    if "Operation not permitted" in found.stderr:
        pytest.skip("strace may not trace here")
    assert found.returncode != 0
    assert path.read_bytes() in (b"old", b"new")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_json_of_a_name_that_is_no_text(tmp_path):
    """A path of other bytes than UTF-8: Python has it as half a pair of surrogates."""
    write_json(tmp_path / "note.json", {"run": "/tmp/\udcff"})
    assert json.loads((tmp_path / "note.json").read_text()) == {"run": "/tmp/\udcff"}
