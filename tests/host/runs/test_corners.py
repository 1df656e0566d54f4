"""Corners of the store and the runner that a whole run does not reach."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from nexus_specs import NexusError, Unit

from nexus_host.running import session
from nexus_host.running.pool import Workers
from nexus_host.running.runner import _outcome
from nexus_host.running.session import perform
from nexus_host.running.signals import Interrupted, Stop
from nexus_host.showing.board import Entry
from nexus_host.store import Store, alive, held
from nexus_host.store.lock import Lock
from nexus_host.store.publish import publish, published

UNIT = Unit(stage="release", subject="student", fingerprint="0" * 12)


def test_nothing_is_published_without_an_artefact(tmp_path):
    with pytest.raises(NexusError, match="has no artefact to publish"):
        publish(Store(tmp_path), UNIT, "release")


def test_what_is_published_is_known(tmp_path):
    store = Store(tmp_path)
    staging = store.staging(UNIT)
    (staging / "a.txt").write_text("a")
    store.commit(UNIT, staging, {}, {})
    assert "is ready" in publish(store, UNIT, "release")
    assert publish(store, UNIT, "release") == ""
    assert published(tmp_path) == {"release": UNIT}
    newer = Unit(stage="release", subject="student", fingerprint="1" * 12)
    staging = store.staging(newer)
    (staging / "b.txt").write_text("b")
    store.commit(newer, staging, {}, {})
    assert publish(store, newer, "release") == f"{tmp_path / 'release'} is ready."
    assert [each.name for each in (tmp_path / "release").iterdir()] == ["b.txt"]
    (tmp_path / "published.json").unlink()  # a kill before the note: the folder is what it should be
    assert publish(store, newer, "release") == ""
    assert published(tmp_path) == {"release": newer}


def test_signals_that_are_ignored_stay_so_and_handlers_come_back(monkeypatch):
    before, now = signal.getsignal(signal.SIGTERM), [7.0]
    monkeypatch.setattr("nexus_host.running.signals.time", SimpleNamespace(monotonic=lambda: now[0]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    calls = []
    try:
        with Stop(lambda: calls.append("at once")) as stop:
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            now[0] += 0.29
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop.code, calls) == (143, []), "sent to the process and to its group"
            now[0] += 0.02
            os.kill(os.getpid(), signal.SIGTERM)
            assert calls == ["at once"]
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) == before


def test_before_anything_runs_the_first_signal_ends_a_run(tmp_path):
    stop = Stop(list)

    def planned(workers):
        with session._unsaved(workers, stop):
            os.kill(os.getpid(), signal.SIGTERM)

    with stop, Workers(tmp_path, 1) as workers:
        waiting = workers.submit(time.sleep, 600)
        with pytest.raises(Interrupted) as ended:
            planned(workers)
    assert ended.value.exit_code == 143
    assert isinstance(waiting.exception(30), Exception)
    assert stop.saves
    with pytest.raises(ZeroDivisionError), session._unsaved(Executor(), Stop(list)):
        raise ZeroDivisionError


def test_a_signal_to_the_group_ends_no_worker_that_is_just_starting(tmp_path):
    code = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from nexus_host.running.pool import Workers
if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)
    with Workers(Path({str(tmp_path)!r}), 1) as workers:
        answer = workers.submit(os.getppid)
        os.killpg(0, signal.SIGINT)
        assert answer.result(60) == os.getpid()
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    line = [sys.executable, str(script)]
    done = subprocess.run(line, capture_output=True, text=True, start_new_session=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_worker_that_dies_costs_its_own_call_alone(tmp_path):
    with Workers(tmp_path, 1) as workers:
        first = workers.submit(os.getpid)
        assert first.result(60) != os.getpid()
        dead = workers.submit(os.kill, first.result(), signal.SIGKILL)
        assert "its worker ended without an answer" in _outcome(dead).error
        assert workers.submit(os.getenv, "OMP_NUM_THREADS").result(60) == "1"
        assert len(list((tmp_path / "workers").iterdir())) == 2
        assert workers.submit(int.__add__, 1, 1).result(60) == 2
    assert list((tmp_path / "workers").iterdir()) == []
    assert os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD") is None


def test_the_second_signal_ends_the_workers_and_the_process(tmp_path, monkeypatch):
    codes, terminal = [], pty.openpty()
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(session, "_STDERR", terminal[1])
    stop = Stop(list)
    stop.number = signal.SIGINT
    with Workers(tmp_path, 1) as workers:
        session._at_once(workers, stop)
    assert os.read(terminal[0], 100).startswith(b"\x1b[?25h")
    monkeypatch.setattr(session, "_STDERR", 99)
    session._at_once(Executor(), stop)
    assert codes == [130, 130]
    for handle in terminal:
        os.close(handle)


def test_workers_can_be_ended_at_once(tmp_path):
    with Workers(tmp_path, 1) as workers:
        pid = workers.submit(os.getpid).result(60)
        waiting = workers.submit(__import__("time").sleep, 60)
        workers.kill()
        assert isinstance(waiting.exception(30), Exception)
    assert not Path(f"/proc/{pid}").exists()


def test_a_worker_without_its_parent_ends(tmp_path):
    code = "import os, sys; from pathlib import Path; from nexus_host.store.workers import register\n"
    code += "register(Path(sys.argv[1]), os.getppid() + 1)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 1
    assert not (tmp_path / "workers").exists()


def test_a_note_of_another_host_or_of_nothing_names_no_process():
    assert alive(None) is None
    assert alive({"pid": os.getpid(), "start": 0}) is None
    assert alive({"pid": os.getpid(), "start": 0, "host": "elsewhere"}) is None
    assert alive({"pid": "x"}) is None


def test_a_run_directory_that_cannot_be_one_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NexusError, match="Choose another --run-dir"), Lock(tmp_path / "file"):
        pass


def test_a_lock_that_cannot_be_taken_over_is_refused(tmp_path, monkeypatch):
    assert not held(tmp_path / "nowhere")
    monkeypatch.setattr("nexus_host.store.lock._PATIENCE", 0.05)
    with Lock(tmp_path):
        note = json.loads((tmp_path / "lock.json").read_text())
        (tmp_path / "lock.json").write_text(json.dumps(note | {"host": "elsewhere"}))
        with pytest.raises(NexusError, match="on elsewhere"), Lock(tmp_path, take_over=True):
            pass


def test_an_error_of_our_own_lets_the_workers_go(toy, requested, monkeypatch):
    toy.registry["run"]["components"] = {"executor": "inline"}
    monkeypatch.setattr("nexus_host.running.runner.Runner._submit", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        perform(requested())
    assert (toy.run_dir / "stopping").exists()


def test_an_executor_that_fails_a_call_fails_its_unit():
    future = Future()
    future.set_exception(RuntimeError("lost"))
    assert _outcome(future).state == "failed"


def test_a_unit_that_is_overdue_and_says_nothing_has_no_time_of_arrival():
    task = SimpleNamespace(unit=UNIT, why=())
    late = Entry(task=task, state="running", expected=1.0, started=time.monotonic() - 5)
    assert late.facts()["eta"] is None
    late.note = {"done": 1, "total": 2}
    assert late.facts()["eta"] == pytest.approx(5, abs=1)
