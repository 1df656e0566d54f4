"""A command whose output nobody reads any more ends as a shell's own do: in silence."""

import os
import subprocess
import sys

import pytest

from nexus_host.cli import answering
from nexus_host.unread import UNREAD


def ends(*words, reads=0):
    """The exit code of a command of whose output so many bytes are read, and what it says on stderr."""
    command = [sys.executable, "-m", "nexus_host", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.read(process.stdout.fileno(), reads) if reads else None
        process.stdout.close()
        said = process.stderr.read().decode()
    return process.returncode, said


@pytest.mark.parametrize(
    ("words", "reads"),
    [
        (("list", "datasets"), 10),  # a table, through rich
        (("list", "datasets", "--json"), 10),
        (("list", "metrics"), 0),
        (("schema",), 0),
        (("--version",), 0),
    ],
)  # fmt: skip
def test_it_ends_in_silence(words, reads):
    code, said = ends(*words, reads=reads)
    assert said == ""
    assert code in ((0, UNREAD) if reads else (UNREAD,)), "all may have been written before the pipe was closed"


def test_what_is_read_is_no_such_command():
    process = subprocess.run([sys.executable, "-m", "nexus_host", "--version"], capture_output=True, check=False)
    assert process.returncode == 0


def test_another_broken_pipe_is_told(monkeypatch, capsys):
    """One that is not the output's (a worker, a server) is no reason to end in silence."""

    def broken(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(answering.nexus, "invoke", broken)
    assert answering.answer(["list", "metrics"]) == 1
    assert "Broken pipe" in capsys.readouterr().err
