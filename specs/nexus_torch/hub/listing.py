"""What a repository holds at one commit: names, sizes and hashes, kept on disk, since a commit never changes."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .cache import known_commit, listed_folder, remember_commit, write_whole
from .errors import HubError, Unreachable, in_words, kept_for, not_here
from .names import COMMIT, HubId
from .settings import endpoint, limit_patience, notes_folder, offline
from .telling import File, told
from .waiting import patiently

SCHEMA = "nexus.hub-listing/1"
PATIENCE = 10.0
"""Seconds that the hub has to answer a question."""
TRIES = 3
"""Questions for a commit, where a server fails or a connection breaks."""
HEXADECIMAL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
AGAIN = 60.0
"""Seconds in which a question that failed is not asked again: every loader asks about every source."""


@dataclass(frozen=True)
class Listing:
    """All files of one commit, by name."""

    hub: HubId
    """With the commit for its revision."""
    files: Mapping[str, File]

    @property
    def commit(self) -> str:
        """The commit."""
        return self.hub.revision


_known: dict[tuple[str, HubId], Listing] = {}
_failed: dict[tuple[str, HubId], tuple[float, HubError]] = {}
_lost: dict[str, tuple[float, HubError]] = {}
"""By the address of a file: when it was given up, and why."""


def resolve(hub: HubId) -> Listing:
    """What the repository holds at its revision, whose commit is found out. HubError in words.

    A commit whose listing is on disk is not asked about again. Offline, or where the hub cannot be reached, the
    commit that was found last counts.
    """
    hub = HubId(hub.name, hub.revision, "", hub.kind)
    key = (f"{endpoint()} {notes_folder()} {offline()}", hub)
    if key in _known:
        return _known[key]
    when, error = _failed.get(key, (0.0, None))
    if error is not None and time.monotonic() - when < AGAIN:
        raise type(error)(str(error))
    try:
        with kept_for(hub):
            _known[key] = _resolved(hub)
    except HubError as problem:
        _failed[key] = time.monotonic(), problem
        raise
    return _known[key]


def forget() -> None:
    """Forgets what this process knows of the hub."""
    _known.clear()
    _failed.clear()
    _lost.clear()


def lost(address: str) -> HubError | None:
    """Why a file was given up in the last minute; None if it was not."""
    when, error = _lost.get(address, (0.0, None))
    return error if error is not None and time.monotonic() - when < AGAIN else None


def lose(address: str, error: HubError) -> HubError:
    """Notes that a file was given up."""
    _lost[address] = time.monotonic(), error
    return error


def _resolved(hub: HubId) -> Listing:
    if hub.commit and (kept := on_disk(hub)):
        return kept
    if offline():
        return _without_network(hub, HubError(not_here(hub)))
    try:
        with in_words(hub):
            return patiently(lambda: _asked(hub), TRIES, away=False)
    except Unreachable as error:
        found = _without_network(hub, error)
        print(f"The hub cannot be reached: '{hub}' is taken as it was fetched, {found.commit[:12]}.", file=sys.stderr)
        return found


def revision_now(hub: HubId) -> str:
    """The commit of a branch or tag as the hub has it this moment; "" where it does not tell, or must not be asked."""
    from huggingface_hub import HfApi

    if offline():
        return ""
    limit_patience()
    api = HfApi(endpoint=endpoint(), library_name="nexus")
    try:
        info = api.repo_info(hub.name, revision=hub.revision or None, repo_type=hub.kind, timeout=PATIENCE)
    except Exception:  # that somebody published something else is news, and no more
        return ""
    commit = str(info.sha)
    return commit if COMMIT.fullmatch(commit) else ""


def _asked(hub: HubId) -> Listing:
    """From the hub: the commit, then its files."""
    from huggingface_hub import HfApi

    limit_patience()
    api = HfApi(endpoint=endpoint(), library_name="nexus")
    info = api.repo_info(hub.name, revision=hub.revision or None, repo_type=hub.kind, timeout=PATIENCE)
    commit = str(info.sha)
    if COMMIT.fullmatch(commit) is None:
        raise HubError(f"The hub names '{commit[:60]}' as the commit of '{hub}'. Do not trust {endpoint()}.")
    found = {file.name: file for file in told(hub, commit, info.siblings or (), PATIENCE)}
    if not all(map(_sound, found.values())):
        raise HubError(f"The listing of '{hub}' names files outside its folder. Do not trust {endpoint()}.")
    if unsized := [file.name for file in found.values() if file.size < 0]:
        said = f"{endpoint()} does not tell the size of '{hub}/{unsized[0]}'."
        raise HubError(f"{said} Set HF_ENDPOINT to another mirror.")
    listing = Listing(hub.at(commit), found)
    _keep(listing)
    remember_commit(hub, commit)
    return listing


def _sound(file: File) -> bool:
    """Whether a name stays below its folder, and a hash is one: both become paths here."""
    path = PurePosixPath(file.name)
    below = not path.is_absolute() and ".." not in path.parts and "\\" not in file.name and file.name != ""
    return below and bool(HEXADECIMAL.fullmatch(file.key))


def _without_network(hub: HubId, error: HubError) -> Listing:
    """What is known of the revision from before."""
    commit = hub.commit or known_commit(hub)
    if not commit:
        raise error
    here = hub.at(commit)
    return on_disk(here) or _from_folder(here, error)


def _from_folder(hub: HubId, error: HubError) -> Listing:
    """The files that another Hugging Face tool fetched."""
    folder = listed_folder(hub)
    if folder is None:
        raise error
    files = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name, key = path.relative_to(folder).as_posix(), path.resolve().name
        hashes = {"sha256": key} if len(key) == 64 else {"blob": key}
        files[name] = File(name, path.stat().st_size, **hashes)
    return Listing(hub, files)


def notes(hub: HubId) -> Path:
    """The folder in which listing and headers of a commit are kept."""
    return notes_folder() / f"{hub.kind}s--{hub.name.replace('/', '--')}" / hub.commit


def on_disk(hub: HubId) -> Listing | None:
    """The listing of a commit that was asked for before."""
    try:
        data = json.loads((notes(hub) / "listing.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if data.get("schema") != SCHEMA:
        return None
    return Listing(hub, {row[0]: File(*row) for row in data["files"]})


def _keep(listing: Listing) -> None:
    files = listing.files.values()
    rows = [[each.name, each.size, each.sha256, each.blob, *filter(None, [each.unnamed])] for each in files]
    text = json.dumps({"schema": SCHEMA, "files": rows}) + "\n"
    write_whole(notes(listing.hub) / "listing.json", text.encode())
