"""The commands, as a user types them."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time

import pytest


def test_run_shows_a_table_and_the_next_run_does_nothing(toy):
    out, err = toy.command(apart=True)
    assert "release/student" in out
    assert re.search(r"done: 18 done in .*", out)
    assert str(toy.run_dir / "release") in out
    assert "profile/prose: running" in err
    assert "train/digits: done in" in err
    assert "\x1b" not in out + err
    status = json.loads((toy.run_dir / "status.json").read_text())
    assert (status["schema"], status["phase"], status["precision"]) == ("nexus.status/1", "done", "float32")
    assert status["machine"]["processor"] == "toy"
    assert {unit["state"] for unit in status["units"]} == {"done"}
    assert json.loads((toy.run_dir / "plugins.json").read_text()) == {"nexus-toy": "1.0"}
    pins = json.loads((toy.run_dir / "pins.json").read_text())
    assert pins["core_teachers"] == ["prose", "code"]
    assert {name: each["micro_batch"] for name, each in pins["settled"].items()} == dict.fromkeys(pins["settled"], 8)
    assert sorted(pins["settled"]) == ["code", "digits", "prose"]
    assert "version: 1" in (toy.run_dir / "registry.yaml").read_text()
    out, _ = toy.command("--json")
    assert {unit["state"] for unit in json.loads(out)["units"]} == {"cached"}


def test_the_plan_says_what_and_why_and_writes_nothing(toy):
    out, _ = toy.command(command="plan")
    assert re.search(r"profile/prose +run +1\.0 s +10 B +1\.0 KB +1\.0 KB +never run", out)
    assert "18 units to run, 0 cached. About 9.0 s. Reads 27.2 KB, writes 18.0 KB." in out
    assert "Core teachers: prose, code" in out
    assert not toy.run_dir.exists()
    toy.command("--stage", "train")
    toy.stage("train", steps=4)
    toy.stage("assemble", fail="estimate")
    found = json.loads(toy.command("--dry-run", "--json")[0])
    units = {unit["name"]: unit for unit in found["units"]}
    assert units["profile/prose"]["state"] == "cached"
    assert units["train/code"]["why"] == ["options.steps 3 -> 4"]
    assert units["train/code"]["seconds"] == 1.0  # more steps: what the stage guesses, not what it took
    toy.stage("train", steps=3)
    found_again = json.loads(toy.command("--json", "--set", "losses.0.weight=2", command="plan")[0])
    (unit,) = (each for each in found_again["units"] if each["name"] == "train/code")
    assert unit["state"] == "run"
    took = json.loads((toy.run_dir / "timings.json").read_text())["train/code"]["seconds"]
    assert unit["seconds"] == pytest.approx(took, abs=0.05), "as the last time, and not what the stage guesses"
    assert unit["estimate"]["seconds"] == 1.0
    assert units["assemble/student"]["estimate"] is None
    assert found["total"] | {"seconds": 0, "read": 0} == {
        "run": 11, "cached": 7, "read": 0, "fetched": 0, "memory": 1000, "disk": 10_000, "seconds": 0, "unknown": 1,
    }  # fmt: skip
    assert found["total"]["read"] > 10 * 10 + 10 * 1000, "what units read of one another counts"


def test_a_plan_that_the_disk_would_not_hold_is_refused(toy):
    toy.stage("assemble", fail="disk")
    for command in ("plan", "run"):
        _, err = toy.command(command=command, code=1)
        assert "would write 1000000.0 TB" in err
        assert "most: assemble/student" in err
    assert not (toy.run_dir / "artefacts").exists()


def test_flags_of_stages_and_settings_reach_their_stage(toy):
    toy.command()
    out, _ = toy.command("--allow-below", "--json")
    assert [unit["name"] for unit in json.loads(out)["units"] if unit["state"] == "done"] == ["release/student"]
    out, _ = toy.command("--allow-below", "--set", "towers.code.options.rank=2", "--json", command="plan")
    (unit,) = (each for each in json.loads(out)["units"] if each["name"] == "train/code")
    assert unit["why"] == ["tower of code.options.rank 4 -> 2"]
    assert "--allow-below" in toy.command("--help")[0]


def test_unknown_names_are_answered_with_a_question(toy):
    assert "Did you mean 'train'" in toy.command("--stage", "trian", code=2)[1]
    assert "Did you mean 'prose'" in toy.command("--models", "proes", code=2)[1]
    assert "left by --models, --datasets" in toy.command("--models", "prose", "--datasets", "code", code=2)[1]
    for card in toy.registry["teachers"].values():
        card["status"] = "available"
    assert "no teacher is ready" in toy.command(code=2)[1]
    toy.registry["teachers"] = {}
    assert "has no teachers. Type `nexus add SOURCE`" in toy.command(code=2)[1]
    assert not toy.run_dir.exists(), "what is refused leaves nothing behind"


def test_failures_are_named_with_their_cause_and_their_log(toy):
    toy.registry["towers"]["prose"]["stages"] = {"train": {"fail": "error"}, "control": {"fail": ""}}
    toy.registry["towers"]["code"]["stages"] = {"train": {"fail": "crash"}, "control": {"fail": ""}}
    toy.registry["towers"]["digits"]["stages"] = {"train": {"fail": "kill"}, "control": {"fail": ""}}
    out, err = toy.command(code=1, apart=True)
    assert "train/prose failed: The toy was told to fail" in err
    assert re.search(r"train/code failed: ZeroDivisionError: a toy bug \(raised in \S+\.py, line \d+, of plugin '", err)
    log = toy.run_dir / "logs" / "train-code.log"
    assert str(log) in err
    assert "Traceback" in log.read_text()
    assert "train/digits failed: its worker ended without an answer" in err
    assert "control/digits: done" in err  # the others went on, in a new worker too
    assert "failed: 13 done, 3 failed, 2 blocked" in out
    status = json.loads(toy.command("--json", command="status", run_dir="positional")[0])
    assert {unit["name"]: unit["error"] for unit in status["units"]}["train/prose"] == "The toy was told to fail"
    out, _ = toy.command(command="status", run_dir="positional")
    assert re.search(r"train/prose +failed +.*The toy was told to fail", out)


def test_show_tells_of_runs_artefacts_and_published_folders(toy):
    toy.command()
    out, _ = toy.command(command="show", run_dir="positional")
    assert re.search(r"train/code +[0-9a-f]{12} +3 +\d+ B", out)
    assert out.count("a note") == 2  # of the student: assemble and release
    (folder,) = (toy.run_dir / "artefacts" / "train" / "code").iterdir()
    out, _ = toy.command(command="show", run_dir=folder)
    assert f"train of code, {folder.name}: intact" in out
    assert "options: steps 3" in out
    assert "core/core" in out
    toy.command("--set", "losses.0.weight=2", "--set", "towers.digits.options.rank=1")
    out, _ = toy.command(command="show", run_dir="positional")
    assert re.search(rf"train/code +{folder.name} .* of earlier settings", out)
    assert out.count("a note") == 2
    (folder / "result.json").write_text("other")
    found = json.loads(toy.command("--json", command="show", run_dir=folder)[0])
    assert found["artefact"]["damage"] == "hash of result.json differs"
    assert "a note" in toy.command(command="show", run_dir=toy.run_dir / "release")[0]
    assert "There is no folder " in toy.command(command="show", run_dir=toy.folder / "nowhere", code=1)[1]
    assert "is no artefact" in toy.command(command="show", run_dir=toy.folder, code=1)[1]
    assert "holds no run" in toy.command(command="status", run_dir=toy.folder, code=1)[1]


def test_reset_removes_what_runs_made_and_nothing_else(toy):
    toy.command()
    mine = [toy.run_dir / "notes.txt", toy.run_dir / "artefacts" / "mine.txt", toy.run_dir / "release.txt"]
    for path in mine:
        path.write_text("mine")
    _, err = toy.command("--reset", "--stage", "profile")
    assert "Removing" in err
    assert "  release\n" in err
    assert "Kept 1 that no run made, such as artefacts/mine.txt" in err
    assert all(path.read_text() == "mine" for path in mine)
    assert not (toy.run_dir / "release").exists()
    assert {path.name for path in (toy.run_dir / "artefacts").iterdir()} == {"mine.txt", "profile"}
    _, err = toy.command("--reset", "--stage", "profile")
    assert "profile/prose: done" in err


def test_a_run_leaves_a_folder_alone_that_it_did_not_make(toy):
    (toy.run_dir / "release").mkdir(parents=True)
    (toy.run_dir / "release" / "mine.txt").write_text("mine")
    _, err = toy.command(code=1)
    assert "this run did not make it" in err
    assert (toy.run_dir / "release" / "mine.txt").read_text() == "mine"


def test_a_published_folder_that_was_changed_is_kept_beside_the_new_one(toy):
    toy.command()
    (toy.run_dir / "release" / "result.json").write_text("mine")
    _, err = toy.command()
    assert "was changed since it was made; that version is kept as release.changed-1" in err
    assert (toy.run_dir / "release.changed-1" / "result.json").read_text() == "mine"
    assert json.loads((toy.run_dir / "release" / "result.json").read_text())["seed"] == 0


def test_of_a_damaged_artefact_the_copy_is_used(toy):
    toy.command()
    (folder,) = (toy.run_dir / "artefacts" / "core" / "core").iterdir()
    (folder / "folder" / "inner.txt").write_text("damaged")
    _, err = toy.command()
    assert "from the intact copy in copies/" in err
    assert "core/core: running" not in err
    assert (folder / "folder" / "inner.txt").read_text() != "damaged"
    assert "Brought back" not in toy.command()[1]


@pytest.mark.parametrize("how", ["missing", "bit"])
def test_a_damaged_artefact_is_found_explained_and_made_again(toy, how):
    toy.command()
    (folder,) = (toy.run_dir / "artefacts" / "core" / "core").iterdir()
    (toy.run_dir / "copies" / "core" / "core" / folder.name / "result.json").write_text("damaged, too")
    before = (folder / "artefact.json").read_bytes()
    if how == "missing":
        (folder / "result.json").unlink()
    else:
        (folder / "folder" / "inner.txt").write_text("damaged")
    found = json.loads(toy.command("--json", command="plan")[0])
    (unit,) = (each for each in found["units"] if each["state"] == "run")
    assert unit["name"] == "core/core"
    assert unit["why"][0].startswith("damaged: ")
    _, err = toy.command()
    assert "Set aside as" in err
    assert (folder / "artefact.json").read_bytes() == before


def test_a_damaged_release_artefact_comes_back_from_its_published_copy(toy):
    toy.command()
    (folder,) = (toy.run_dir / "artefacts" / "release" / "student").iterdir()
    shutil.rmtree(toy.run_dir / "copies")
    (folder / "result.json").unlink()
    _, err = toy.command()
    assert "Brought back" in err
    assert "release/student: running" not in err
    assert (folder / "result.json").is_file()


def test_a_full_disk_is_said_and_costs_nothing_that_was_done(toy):
    toy.registry["towers"]["code"]["stages"] = {"train": {"filler": 3_000_000}}
    process = toy.start(limit=1_000_000)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "train/code failed: The disk is full" in err
    assert not list((toy.run_dir / "artefacts").rglob(".nexus-making-*"))
    _, err = toy.command()
    assert "train/code: done" in err
    assert "train/prose: running" not in err


def test_on_a_terminal_the_view_is_live_and_the_cursor_comes_back(toy):
    toy.save()
    toy.wait()
    parent, child = pty.openpty()
    process = toy.start(stderr=child, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"})
    os.close(child)
    drawn = b""
    try:
        while chunk := os.read(parent, 65536):
            drawn += chunk
            if b"loss" in drawn and b"train/prose" in drawn:
                toy.go()
    except OSError:  # the other side was closed
        pass
    process.communicate(timeout=300)
    text = drawn.decode()
    assert "train/prose" in text
    assert "loss" in text
    assert "elapsed" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_torch_is_imported_by_no_command_of_the_host(toy):
    code = "import sys; from nexus_host.__main__ import run; run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    toy.save()
    line = [
        sys.executable,
        "-c",
        code,
        "run",
        "--registry",
        str(toy.path),
        "--run-dir",
        str(toy.run_dir),
        "--stage",
        "profile",
    ]
    started = time.monotonic()
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert time.monotonic() - started < 60
