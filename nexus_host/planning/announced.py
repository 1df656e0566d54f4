"""The commits that `nexus plan` showed: the run that follows begins with them, also where another version was published
in between. A plan writes nothing into the run directory, so they are noted in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs.caching import cache_folder

from ..store import read_json, text_hash, write_json
from .settling import DATA, PINS, SETTLED, known_pins

FOLDER = "plans"


def announce(run: Path, settled: Mapping[str, Mapping[str, Any]], data: Mapping[str, str]) -> None:
    """Notes what a plan found on a hub; a cache folder that cannot be written to is no error."""
    remote = {name: note for name, note in settled.items() if note.get("source")}
    forget(run)
    if remote or data:
        with suppress(OSError):
            _note(run).parent.mkdir(parents=True, exist_ok=True)
            write_json(_note(run), {"run": str(run), SETTLED: remote, DATA: dict(data)}, durable=False)


def adopt(run: Path) -> None:
    """Pins in a run directory what the last plan of it showed, and no run has pinned yet."""
    note, known = read_json(_note(run), {}), known_pins(run)
    if note.get("run") != str(run):
        return
    shown = {name: note[name] for name in (SETTLED, DATA) if isinstance(note.get(name), dict)}
    wanted = known | {name: found | known.get(name, {}) for name, found in shown.items()}
    if wanted != known:
        write_json(run / PINS, wanted)


def forget(run: Path) -> None:
    """The note goes: a run of the directory has pins of its own, or begins anew."""
    with suppress(OSError):
        _note(run).unlink()


def _note(run: Path) -> Path:
    return cache_folder() / FOLDER / f"{text_hash(str(run))[:24]}.json"
