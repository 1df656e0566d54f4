"""Notes in a run directory that somebody or something spoilt: a run goes on, or says what is wrong."""

import json
import os

import pytest

from nexus_host.__main__ import run
from nexus_host.planning.settling import known_pins

NOTES = ("status", "timings", "pins", "made", "published", "machine", "plugins", "lock")
NESTED = b'{"settled": 3, "data": [], "core_teachers": 5, "release": 1, "units": [3], "profile/prose": 1}'
BARE = b'{"units": [{"name": "train/x"}], "run": {}, "phase": "done", "elapsed": 1, "eta": null}'
ODD = (b"\x00\xff", b"[" * 100_000, b"[1]", b'"x"', b"7", b"null", NESTED, BARE)


@pytest.fixture
def done(toy):
    toy.command()
    return toy


@pytest.mark.parametrize("text", ODD)
def test_spoilt_notes_stop_nothing(done, text):
    before = done.contents()
    for name in NOTES:
        (done.run_dir / f"{name}.json").write_bytes(text)
    done.quick(command="status", run_dir="positional", code=1)
    done.quick(command="show", run_dir="positional")
    done.quick()
    assert done.contents() == before
    assert json.loads((done.run_dir / "status.json").read_text())["phase"] == "done"


def test_a_note_that_points_outside_the_run_directory_removes_nothing_there(done):
    outside = done.folder / "mine.txt"
    outside.write_text("mine")
    made = done.run_dir / "made.json"
    listed = json.loads(made.read_text())
    made.write_text(json.dumps([*listed, "../mine.txt", str(outside), 3]))
    (note,) = done.run_dir.glob("artefacts/release/student/*/artefact.json")
    spoilt = json.loads(note.read_text())
    spoilt["files"]["../../../../../mine.txt"] = "0" * 64
    note.write_text(json.dumps(spoilt))
    done.quick("--reset")
    assert outside.read_text() == "mine"
    assert done.contents()


def test_a_spoilt_note_of_what_was_settled_is_read_from_its_copy(done):
    pins = done.run_dir / "pins.json"
    held = json.loads(pins.read_text()) | {"core_teachers": ["tiny"]}
    for place in (pins, done.run_dir / "copies" / "pins.json"):
        assert json.loads(place.read_text()), "both are there"
        place.write_text(json.dumps(held))
    pins.write_bytes(pins.read_bytes()[:20])
    assert known_pins(done.run_dir)["core_teachers"] == ["tiny"], "else another core would be trained, without a word"
    pins.unlink()
    assert known_pins(done.run_dir) == {}, "who removes it settles anew"
    done.quick("--reset")
    assert json.loads((done.run_dir / "copies" / "pins.json").read_text()) == json.loads(pins.read_text())


@pytest.mark.parametrize("kind", ["pipe", "large", "long"])
def test_a_folder_of_a_stranger_is_not_waited_for(kind, tmp_path, capsys):
    note = tmp_path / "artefact.json"
    if kind == "pipe":
        os.mkfifo(note)
    if kind == "large":
        note.touch()
        os.truncate(note, 1 << 40)
    named = "x" * 300 if kind == "long" else str(tmp_path)
    assert run(["show", named]) in (1, 2)
    said = capsys.readouterr().err
    assert "no artefact" in said or "No folder can be called" in said
