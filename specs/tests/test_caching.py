"""Where caches are, also for who has no home: a container that runs under a bare number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nexus_specs.caching import cache_folder, expanded


def test_the_caches_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NEXUS_CACHE", raising=False)
    assert cache_folder() == Path("/ada/.cache/nexus")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/nexus")
    monkeypatch.setenv("NEXUS_CACHE", "~/mine")
    assert cache_folder() == Path("/ada/mine")
    assert expanded("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")


def test_without_a_home_it_goes_with_the_process(tmp_path: Path) -> None:
    code = (
        "import pwd\n"
        "def absent(number): raise KeyError(number)\n"
        "pwd.getpwuid = absent\n"
        "from nexus_specs.caching import cache_folder\n"
        "assert cache_folder() == cache_folder() and cache_folder().is_dir()\n"
        "from nexus_torch.hub.settings import notes_folder\n"
        "assert notes_folder().parent == cache_folder()\n"
        "print(cache_folder())\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "NEXUS_CACHE")}
    done = subprocess.run([sys.executable, "-c", code], env=kept | {"TMPDIR": str(tmp_path)}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir()), "nothing stays behind"
