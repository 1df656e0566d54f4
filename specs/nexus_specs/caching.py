"""Where a user's home and caches are, for host and plugins alike."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

CACHE = "NEXUS_CACHE"
"""Environment variable: the folder for what was found before."""


def cache_folder() -> Path:
    """`NEXUS_CACHE`, else `nexus` in the user's cache. Who has no home at all, as a container that runs under a bare
    number, has a folder of this process alone, so that nobody else's is trusted."""
    given = os.environ.get(CACHE) or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/nexus"
    try:
        return Path(given).expanduser()
    except RuntimeError:
        return _passing()


def expanded(place: str) -> Path:
    """A path with the user's home for "~"; "~name" of somebody who is not here is a name like any other."""
    with suppress(RuntimeError):
        return Path(place).expanduser()
    return Path(place)


@cache
def _passing() -> Path:
    """A folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix="nexus-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
