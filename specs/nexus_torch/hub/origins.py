"""Where a source comes from that is not on this machine: its commit, and what is still to be fetched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nexus_specs import Origin, locate

from .cache import snapshot_folder
from .listing import resolve, revision_now
from .names import HubId, parse
from .snapshots import WEIGHTS, snapshot, weights

PIPELINE = "model_index.json"


def origin(source: str, names: Iterable[str] = ()) -> Origin | None:
    """The commit and the sizes behind a name on the hub (a "#fragment" of a loader stays); None for what lies on this
    machine. `names` are the files that will be read, where the loader knows better than "the weights of the folder, or
    of the parts of a pipeline"."""
    source, mark, fragment = source.partition("#")
    if not source or here(source):
        return None
    hub = parse(source)
    if hub is None:
        return None
    listing = resolve(hub)
    chosen = list(names) or _weights(hub, snapshot(source))
    home = snapshot_folder(listing.hub)
    sizes = {name: listing.files[name].size for name in chosen if name in listing.files}
    return Origin(
        source=str(HubId(hub.name, listing.commit, hub.path, hub.kind)) + mark + fragment,
        commit=listing.commit,
        bytes=sum(sizes.values()),
        missing=sum(size for name, size in sizes.items() if not (home / name).exists()),
    )


def latest(source: str) -> str:
    """The commit that a name on the hub has now: asks for nothing else. "" where the name says the commit itself, for
    what lies on this machine, and where the hub does not tell."""
    source = source.partition("#")[0]
    hub = None if not source or here(source) else parse(source)
    return revision_now(hub) if hub and not hub.commit else ""


def here(source: str) -> bool:
    """Whether a source is a path, or a resource of a package, on this machine."""
    try:
        return locate(source).exists()
    except (FileNotFoundError, ModuleNotFoundError):
        return True                                          # a package that is missing is no repository


def _weights(hub: HubId, home: Path) -> list[str]:
    """Names of the files with weights, from the top of the repository."""
    if PurePosixPath(hub.path).suffix in WEIGHTS:
        return [hub.path]
    start = f"{hub.path}/" if hub.path else ""
    if (home / PIPELINE).is_file():
        parts = sorted(each for each in home.iterdir() if each.is_dir())
        return [f"{start}{part.name}/{name}" for part in parts for name in weights(part)]
    return [f"{start}{name}" for name in weights(home)]
