"""Commands typed in this process, which has the heavy libraries already."""

import pytest

from nexus_host.__main__ import run
from nexus_host.running import preparing


@pytest.fixture
def typed(monkeypatch, capsys):
    """A command, and what it printed on stdout and stderr. A plan starts no worker: where that process is not what is
    tested, it would only import torch again. Nothing asks a hub but where a test has one."""
    monkeypatch.setattr(preparing, "_aside", preparing._here)

    def typed(*words, code=0):
        capsys.readouterr()
        found = run(list(map(str, words)))
        out, err = capsys.readouterr()
        assert found == code, f"nexus {' '.join(map(str, words))}: exit code {found}\n{out}\n{err}"
        return out, err

    return typed
