"""Kills, signals, pauses, second instances: what was done stays done, and the same command goes on."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nexus_host.store import write_json
from nexus_host.store.lock import Lock, held
from nexus_host.store.workers import end_orphans


@pytest.fixture(scope="module")
def releases():
    """Those that were made for all tests."""
    return {}


@pytest.fixture
def reference(toy, releases):
    """The release of a run that nothing disturbed; where it lies is not written into it."""
    if not releases:
        toy.command()
        releases |= toy.contents()
        shutil.rmtree(toy.run_dir)
    return releases


def workers(toy):
    return [json.loads(each.read_text())["pid"] for each in (toy.run_dir / "workers").glob("*.json")]


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pids, patience=60.0):
    """Whether all of these processes have ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not any(map(runs, pids)):
            return True
        time.sleep(0.05)
    return False


def killed_at_random(toy, reference, kills, generator):
    for _ in range(kills):
        process = toy.start()
        time.sleep(generator.uniform(0.3, 2.5))
        process.kill()
        pids = workers(toy)
        process.communicate()
        assert gone(pids)
        for name, data in toy.contents().items():
            assert reference[name] == data
    toy.command(apart=True)
    assert toy.contents() == reference


def test_kills_at_random_moments_change_no_byte_of_the_release(toy, reference):
    toy.stage("train", tick=0.1)
    killed_at_random(toy, reference, 3, random.Random(1))


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte_of_the_release(toy, reference):
    toy.stage("train", tick=0.1)
    toy.stage("extract", tick=0.1)
    killed_at_random(toy, reference, 20, random.Random())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_same_command_goes_on_from_there(toy, reference, number, code):
    toy.wait()
    process = toy.start()
    toy.until_waiting()
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert process.returncode == code, err
    assert "interrupted" in out
    assert toy.status()["phase"] == "interrupted"
    assert list((toy.run_dir / "scratch" / "train").rglob("state.json"))
    toy.go()
    _, err = toy.command(apart=True)
    assert "profile/prose: running" not in err
    assert toy.contents() == reference
    assert not list((toy.run_dir / "scratch").rglob("state.json"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_sent_to_the_process_and_to_its_group_is_one_signal(toy, number, code):
    """Ctrl-C in a terminal; `timeout`, and schedulers of jobs."""
    toy.wait()
    process = toy.start(start_new_session=True)
    toy.until_waiting()
    process.send_signal(number)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=100)
    assert process.returncode == code
    assert "failed" not in err
    assert toy.status()["phase"] == "interrupted"
    assert "failed" not in {unit["state"] for unit in toy.status()["units"]}


def test_the_second_ctrl_c_ends_everything_at_once(toy):
    toy.stage("train", fail="hang")
    process = toy.start()
    toy.until(lambda status: (toy.run_dir / "hanging").exists())  # one that only runs could still be paused
    pids = workers(toy)
    process.send_signal(signal.SIGINT)
    toy.until(lambda status: status["phase"] == "stopping")
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert time.monotonic() - started < 60, "the unit sleeps for ten minutes"
    assert gone(pids)
    assert not held(toy.run_dir)


def test_a_pause_file_pauses_until_it_is_removed(toy, reference):
    toy.wait()
    process = toy.start()
    toy.until_waiting()
    (toy.run_dir / "pause").touch()
    status = toy.until(
        lambda status: status["phase"] == "paused" and not any(u["state"] == "running" for u in status["units"])
    )
    assert any(unit["state"] == "paused" for unit in status["units"])
    toy.go()
    (toy.run_dir / "pause").unlink()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "paused" in err
    assert toy.contents() == reference


def test_a_second_instance_is_refused_at_once_and_told_by_whom(toy):
    toy.wait()
    process = toy.start()
    toy.until_waiting()
    (toy.run_dir / "lock.json").rename(toy.run_dir / "away.json")
    assert "is in use by another process" in toy.command(code=3)[1]
    (toy.run_dir / "away.json").rename(toy.run_dir / "lock.json")
    code = "import sys, time; sys.path[:0] = []\nfrom nexus_host.store import Lock\nfrom pathlib import Path\n"
    code += "taken = []\nwhile len(taken) < 20 and min(taken, default=1) >= 1:\n    started = time.monotonic()\n"
    code += "    try:\n        Lock(Path(sys.argv[1])).__enter__()\n    except Exception as error:\n"
    code += "        taken.append(time.monotonic() - started)\n        said = f'{error} {error.exit_code}'\n"
    code += "print(min(taken), said)"
    out = subprocess.run([sys.executable, "-c", code, str(toy.run_dir)], capture_output=True, text=True).stdout
    seconds, _, message = out.partition(" ")
    assert float(seconds) < 1, "the best of some tries: another process may have the processor meanwhile"
    assert f"process {process.pid} " in message
    assert "nexus_host" in message
    assert re.search("phase: running (control|train)/", message)
    assert message.endswith(" 3\n")
    process.kill()
    process.communicate()
    assert not held(toy.run_dir)
    with Lock(toy.run_dir):
        assert held(toy.run_dir)
    status = json.loads(toy.command("--json", command="status", run_dir="positional")[0])
    assert status["phase"] == "interrupted"  # though status.json still says that it runs


def test_take_over_ends_a_live_holder(toy, reference, monkeypatch):
    monkeypatch.setattr("nexus_host.store.lock._PATIENCE", 200.0)
    toy.wait()
    first = toy.start()
    toy.until_waiting()
    toy.wait(how="")
    toy.command("--take-over")
    first.communicate(timeout=100)
    assert first.returncode == 143
    assert toy.contents() == reference


def test_take_over_kills_what_does_not_listen(tmp_path, monkeypatch):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfrom pathlib import Path\n"
    code += "from nexus_host.store import Lock\n"
    code += "with Lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    monkeypatch.setattr("nexus_host.store.lock._PATIENCE", 2.0)
    with Lock(tmp_path, take_over=True):
        assert holder.wait(60) == -signal.SIGKILL
    holder.stdout.close()


def test_workers_of_a_dead_run_are_ended_by_pid_and_start_time_only(tmp_path):
    orphan, stranger = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2))
    start = psutil.Process(orphan.pid).create_time()
    write_json(tmp_path / "workers" / f"{orphan.pid}.json", {"pid": orphan.pid, "start": start})
    write_json(tmp_path / "workers" / f"{stranger.pid}.json", {"pid": stranger.pid, "start": start - 1000})
    (tmp_path / "workers" / "broken.json").write_text("{")
    assert end_orphans(tmp_path) == [orphan.pid]
    assert orphan.wait(60) == -signal.SIGKILL
    assert stranger.poll() is None
    assert list((tmp_path / "workers").iterdir()) == []
    stranger.kill()
    stranger.wait()


def test_a_run_says_which_orphans_it_ended(toy):
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    about = {"pid": orphan.pid, "start": psutil.Process(orphan.pid).create_time()}
    write_json(toy.run_dir / "workers" / "1.json", about)
    _, err = toy.command("--stage", "profile")
    assert f"Ended process {orphan.pid}" in err
    orphan.wait(60)
