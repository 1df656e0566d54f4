"""The files of a commit with what a server tells about each. The hub tells sizes and hashes in its listing; mirrors,
and what keeps a copy in a company's network, may have no listing of folders, or one with less in it: then the files
that the repository names are asked for one by one, as every tool does before it fetches one."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .names import Address, HubId
from .pages import rows
from .settings import endpoint
from .urls import url
from .waiting import patiently

SIDE_BY_SIDE = 8
LACKS = (404, 405, 501)
"""What a server answers that has no listing of folders."""
SHA256, GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
TRIES = 4


@dataclass(frozen=True)
class File:
    """One file of a commit."""

    name: str
    size: int
    sha256: str = ""
    """Of its content; "" for a small file, which git alone keeps."""
    blob: str = ""
    """Its git hash."""
    unnamed: str = ""
    """What it is called here where nobody names a hash of it: then its size alone is held."""

    @property
    def key(self) -> str:
        """Its name in the cache of all Hugging Face tools."""
        return self.sha256 or self.blob or self.unnamed

    def digest(self) -> Any:
        """A hash to be updated with its bytes, whose hexadecimal form must come to `key`."""
        return hashlib.sha256() if self.sha256 else Digest(self)


class Digest:
    """The hash of what git alone keeps. Mirrors that keep no git write the SHA-1 of the bare content in its place."""

    def __init__(self, file: File) -> None:
        self.file = file
        git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        self.hashes = [] if file.unnamed else [git, hashlib.sha1(usedforsecurity=False)]

    def update(self, data: bytes) -> None:
        """Goes on with these bytes."""
        for each in self.hashes:
            each.update(data)

    def hexdigest(self) -> str:
        """The file's key where any of the hashes is it; that of a file without a hash as it is."""
        found = [each.hexdigest() for each in self.hashes]
        return self.file.key if not found or self.file.key in found else found[0]


def told(hub: HubId, commit: str, siblings: Iterable[Any], patience: float) -> list[File]:
    """All files of a commit. `siblings` are those that the repository itself names. Raises what huggingface_hub raises
    for a refusal."""
    from huggingface_hub.errors import HfHubHTTPError

    at = hub.at(commit)
    try:
        known = [_of_row(row) for row in rows(hub, commit, patience) if row.get("type", "file") == "file"]
    except HfHubHTTPError as error:
        known = [File(str(each.rfilename), -1) for each in siblings]
        if not known or getattr(error.response, "status_code", 0) not in LACKS:
            raise
    known = _distinct(known)
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="hub-ask") as pool:
        return list(pool.map(partial(_whole, at, patience), known))


def _of_row(row: Mapping[str, Any]) -> File:
    """As a listing tells it; size -1 where it does not."""
    large = row["lfs"] if isinstance(row.get("lfs"), Mapping) else {}
    size, sha256, blob = row.get("size"), str(large.get("oid", "")), str(row.get("oid", ""))
    return File(str(row.get("path", "")), size if isinstance(size, int) else -1, *_hashes(sha256, blob))


def _hashes(*said: str) -> tuple[str, str]:
    """SHA-256 and git's hash, of what is said; "" for what is neither."""
    return (
        next((each for each in said if SHA256.fullmatch(each)), ""),
        next((each for each in said if GIT.fullmatch(each)), ""),
    )


def _distinct(files: list[File]) -> list[File]:
    """Without the hashes that stand for files of several sizes: those are filled in, and no hash."""
    sizes: dict[str, set[int]] = defaultdict(set)
    for file in files:
        sizes[file.key].add(file.size)
    return [replace(file, sha256="", blob="") if len(sizes[file.key]) > 1 else file for file in files]


def _whole(hub: HubId, patience: float, file: File) -> File:
    """With its size and hash, asked for where the listing lacks them."""
    if file.size >= 0 and file.key:
        return file
    size, tag = patiently(partial(_asked, Address.of(hub, file.name), patience), TRIES)
    sha256, blob = _hashes(tag)
    made_up = hashlib.sha1(f"{hub.commit}\0{file.name}\0{tag}".encode("utf-8", "replace"), usedforsecurity=False)
    unnamed = "" if sha256 or blob else made_up.hexdigest()
    return File(file.name, size if file.size < 0 else file.size, sha256, blob, unnamed)


def _asked(address: Address, patience: float) -> tuple[int, str]:
    """Size and tag of a file."""
    from huggingface_hub import get_hf_file_metadata

    found = get_hf_file_metadata(url(address), timeout=patience, endpoint=endpoint(), library_name="nexus")
    return -1 if found.size is None else int(found.size), str(found.etag or "")
