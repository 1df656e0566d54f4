"""`nexus doctor`."""

import errno
import fcntl
import json
import re
from pathlib import Path

import psutil
import pytest

from nexus_host.__main__ import run
from nexus_host.examining import machine


@pytest.fixture
def doctor(whole, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def doctor():
        code = run(["doctor", "--json"])
        return code, {row["check"]: row for row in json.loads(capsys.readouterr().out)}

    return doctor


def test_a_whole_installation_is_fit(doctor, capsys):
    code, found = doctor()
    assert code == 0, [row for row in found.values() if row["mark"] == "fail"]
    for check in ("python", "nexus-specs", "plugin whole", "processor", "memory", "disk", "gpu", "locks", "writable"):
        assert found[check]["found"]
    assert run(["doctor"]) == 0
    assert "flock works" in capsys.readouterr().out


def test_what_is_wrong_with_plugins_is_said(whole, doctor):
    whole.plugin("bad", "raise ValueError('bad weather')")
    whole.plugin("twin", "", distribution="acme-one")
    whole.distribution("acme-two", points={"twin": "twin_plugin"})
    whole.plugin(
        "run", "@hookimpl\ndef nexus_commands():\n    yield Component(name='run', target='a:b', summary='Mine')"
    )
    whole.plugin(
        "more",
        """
        @hookimpl
        def nexus_engines():
            yield Component(name="sli", target="a:b", summary="C")
            yield Component(name="far", target="a:b", summary="C", requires=("not-there>=1", "pluggy>=1"))
        """,
    )
    code, found = doctor()
    assert code == 0
    assert found["plugin bad"]["found"] == "broken: ValueError: bad weather"
    assert "--without bad" in found["plugin bad"]["hint"]
    assert found["engine sli"]["mark"] == "warn"
    assert found["plugin twin"]["hint"] == "pip uninstall one of them"
    assert found["command run"]["found"] == "of acme-run 1.0 is never called: Nexus has its own"
    assert found["engine far"]["hint"] == "pip install 'not-there>=1'"


def test_a_slow_plugin_is_warned_of(doctor, monkeypatch):
    monkeypatch.setattr("nexus_host.examining.installation.SLOW", 0.0)
    row = doctor()[1]["plugin whole"]
    assert row["mark"] == "warn"
    assert re.match(r"acme-whole 1\.0 takes \d+\.\d s to import", row["found"])
    assert "not in the module of its entry point" in row["hint"]


def test_a_missing_kind_stands_in_the_way(whole, doctor, monkeypatch):
    monkeypatch.setenv("NEXUS_WITHOUT", "whole")
    code, found = doctor()
    assert code == 1
    assert found["plugin whole"]["found"] == "blocked by NEXUS_WITHOUT"
    assert found["engines"]["mark"] == "fail"


def test_a_missing_package_stands_in_the_way(doctor, monkeypatch):
    monkeypatch.setattr("nexus_host.examining.installation.PACKAGES", ("not-there",))
    assert doctor()[1]["not-there"]["hint"] == "pip install not-there"


def test_gpu(tmp_path):
    assert machine.gpu(("no-such-program",)).found == "none; the processor is used"
    assert machine.gpu(("printf", r"Big GPU, 80 GB\nSmall GPU, 8 GB\n")).found == "Big GPU, 80 GB; Small GPU, 8 GB"


def test_a_folder_that_cannot_be_written(tmp_path):
    found = machine.writable(tmp_path / "missing")
    assert (found.mark, found.hint) == ("fail", "choose another --run-dir")


def test_locks_that_keep_nobody_out(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert machine.locks(tmp_path).mark == "fail"

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert machine.locks(tmp_path).found == "flock does not work here: No locks available"


def test_little_memory_and_disk_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "LEAST_MEMORY", 10**18)
    monkeypatch.setattr(machine, "LEAST_DISK", 10**18)
    found = {each.check: each.mark for each in machine.examine_machine(tmp_path / "a" / "b")}
    assert (found["memory"], found["disk"]) == ("warn", "warn")


def test_a_shared_cache_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert list(machine.examine_machine(tmp_path))[-1].found == str(tmp_path)


def test_a_machine_that_says_little_about_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_lines", lambda _: [])
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert next(iter(machine.examine_machine(tmp_path))).found == "unknown, 1 cores"
    monkeypatch.undo()
    assert machine._lines(Path(tmp_path / "none")) == []
