"""The rows of `nexus list architectures`: asked of the loaders in a process of its own, and kept until something that
is installed changes. So the process that answers imports no loader's libraries, and answers at once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs import ArchitectureComponent, NexusError
from nexus_specs.caching import cache_folder

from ..discovery import Plugins
from ..store.atomic import write_bytes

Row = dict[str, Any]
FIELDS = ("name", "loader", "modalities", "heads", "gguf", "streams")
MORE: Row = {"generates": False, "sort": "", "reason": "", "summary": ""}
"""What a loader may say of a row beyond these fields, and what stands there where it does not: whether it generates,
what kind of thing it is, why it does not stream, a sentence."""
LIMIT = 120
"""Seconds that asking may take."""


def architectures(plugins: Plugins) -> list[Row]:
    """All rows, sorted by name; from the cache where nothing that is installed has changed."""
    place = cache_folder() / f"architectures-{_key(plugins)}.json"
    if found := _kept(place):
        return found
    rows = _asked(plugins)
    if all("error" not in row for row in rows):
        _keep(place, rows)
    return rows


def _kept(place: Path) -> list[Row]:
    """The rows of a cache; none where there is none, or what is there is not what was written."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        rows: list[Row] = found["rows"]
        return rows if found["sha256"] == _digest(rows) else []
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return []


def _digest(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def joined(rows: list[Row]) -> list[Row]:
    """The columns of the list. A row that names no GGUF architecture, or no modality, gets what a row of the same
    class has."""
    by_head = {head: row["gguf"] for row in rows if row.get("gguf") for head in row.get("heads", ())}
    takes = {head: row["modalities"] for row in rows if row.get("modalities") for head in row.get("heads", ())}
    found = []
    for row in rows:
        if "error" in row:
            named = {"name": row["name"], "loader": row["name"], "modalities": [], "heads": [], "gguf": ""}
            found.append(named | {"streams": "untested"} | MORE | {"reason": row["error"], "error": row["error"]})
            continue
        heads = list(row.get("heads", ()))
        gguf = row.get("gguf") or _first(by_head, heads)
        known = {"name": row.get("name") or row["architecture"], "loader": row.get("loader") or row["architecture"]}
        more = MORE | {name: value for name, value in row.items() if name not in (*FIELDS, "architecture")}
        found.append(
            known
            | {"modalities": list(row.get("modalities") or _first(takes, heads)), "heads": heads, "gguf": gguf}
            | {"streams": row.get("streams", "untested")}
            | more
        )
    return sorted(found, key=lambda row: (row["loader"], row["name"]))


def _first(known: Mapping[str, Any], heads: Sequence[str]) -> Any:
    """What is known of the first of these classes of which anything is."""
    return next((known[head] for head in heads if head in known), "")


def _asked(plugins: Plugins) -> list[Row]:
    """The rows, from a process that may import what it likes."""
    without = [name for name, plugin in plugins.found.items() if plugin.state == "blocked"]
    command = [sys.executable, "-m", __name__, *without]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, env=paths)
        rows: list[Row] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        late = f"The loaders did not say in {LIMIT} s what they open."
        raise NexusError(f"{late} Switch one off with --without.") from None
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NexusError(f"The loaders could not be asked what they open: {last}. See `nexus doctor`.") from None
    return rows


def _key(plugins: Plugins) -> str:
    """Changes with any installed distribution (also where one of the same version is installed anew), with the loaders'
    own files, and with what is switched off."""
    digest = hashlib.sha256(repr((sys.version, sorted(plugins.components("architecture")))).encode())
    for entry in sorted(set(sys.path)):
        folder = Path(entry or ".")
        if installed := sorted((each.name, _written(each)) for each in folder.glob("*-info")):
            digest.update(repr(installed).encode())         # wherever it was put: `pip install --target` as well
    for file in _own_files(plugins):
        state = file.stat()
        digest.update(f"{file} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _written(info: Path) -> int:
    """When a distribution was installed: its list of files is written last."""
    for place in (info / "RECORD", info):
        with suppress(OSError):
            return place.stat().st_mtime_ns
    return 0


def _own_files(plugins: Plugins) -> Iterator[Path]:
    """The files beside the catalogues of the loaders: one installed for editing changes without a new version."""
    targets = set()
    for component in plugins.components("architecture").values():
        if isinstance(component, ArchitectureComponent):
            targets |= {each.partition(":")[0] for each in (component.catalogue, component.target) if each}
    folders = {Path(spec.origin).parent for name in targets if (spec := _spec(name)) and spec.origin}
    for folder in sorted(folders):
        yield from sorted(each for each in folder.glob("*") if each.suffix in (".py", ".json"))


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _keep(place: Path, rows: list[Row]) -> None:
    """A cache that cannot be written is none; older ones go."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = {"sha256": _digest(rows), "rows": rows}
        write_bytes(place, json.dumps(kept).encode(), durable=False)
        for old in place.parent.glob("architectures-*.json"):
            if old != place:
                old.unlink(missing_ok=True)
    except OSError:
        return


if __name__ == "__main__":
    print(json.dumps(joined(Plugins.discover(sys.argv[1:]).catalogue("architecture"))))
