"""The cache that all Hugging Face tools share: refs, snapshots and blobs of each repository.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from .names import COMMIT, HubId
from .settings import cache_folder


def storage(hub: HubId) -> Path:
    """The folder of a repository in the cache."""
    return cache_folder() / f"{hub.kind}s--{hub.name.replace('/', '--')}"


def snapshot_folder(hub: HubId) -> Path:
    """The folder of a commit: what looks like a checkpoint's folder."""
    return storage(hub) / "snapshots" / hub.commit


def blob(hub: HubId, key: str) -> Path:
    """Where the content with this hash lies."""
    return storage(hub) / "blobs" / key


def link(hub: HubId, name: str, key: str) -> Path:
    """Puts the content with this hash into the snapshot under its name; a copy moves there where links are not
    allowed (Windows)."""
    pointer, content = snapshot_folder(hub) / name, blob(hub, key)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if pointer.exists():
        return pointer
    fresh = storage(hub) / f".link-{os.getpid()}-{threading.get_ident()}"
    try:
        fresh.symlink_to(os.path.relpath(content, pointer.parent))
        fresh.replace(pointer)                               # whole at every moment, also over a link to nothing
    except OSError:
        shutil.move(content, pointer)
    return pointer


def known_commit(hub: HubId) -> str:
    """The commit that a branch or tag had when it was last asked for; "" if never."""
    try:
        commit = (storage(hub) / "refs" / (hub.revision or "main")).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return commit if COMMIT.fullmatch(commit) else ""


def remember_commit(hub: HubId, commit: str) -> None:
    """Notes the commit of a branch or tag, as `hf download` does; a cache that may only be read stays as it is."""
    if not hub.commit and known_commit(hub) != commit:
        with suppress(OSError):
            write_whole(storage(hub) / "refs" / (hub.revision or "main"), commit.encode())


def listed_folder(hub: HubId) -> Path | None:
    """The snapshot of a commit, if any tool fetched one."""
    folder = snapshot_folder(hub)
    return folder if folder.is_dir() else None


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file whole or not at all, also where several processes do; without torch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
