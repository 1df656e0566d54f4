"""Names on the hub: "owner/name", "hub:owner/name", "@revision" behind them, and a path inside."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

PREFIX, DATASETS = "hub:", "datasets/"
COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = r"[A-Za-z0-9_](?:[\w.-]*[\w-])?"
_ID = re.compile(
    rf"(?P<prefix>hub:)?(?P<datasets>datasets/)?(?P<name>(?:{_NAME}/)?{_NAME})"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[\w.-]+))?(?:/(?P<path>[^@]+))?"
)
_BARE = re.compile(rf"{_NAME}/{_NAME}(?:@[\w.-]+|@refs/(?:pr|convert)/[\w.-]+)?(?:/[^@]+\.gguf)?")
"""What is taken for a name on the hub without "hub:" before it: a relative path must not be mistaken for one."""
FORBIDDEN = ("--", "..")


@dataclass(frozen=True)
class HubId:
    """A repository on the hub, at a revision ("": its main branch), and perhaps a file or folder in it."""

    name: str
    revision: str = ""
    path: str = ""
    kind: Literal["model", "dataset"] = "model"

    @property
    def commit(self) -> str:
        """The commit, where the revision is one; else ""."""
        return self.revision if COMMIT.fullmatch(self.revision) else ""

    def at(self, revision: str) -> HubId:
        """The same at another revision."""
        return replace(self, revision=revision)

    def __str__(self) -> str:
        kind = DATASETS if self.kind == "dataset" else ""
        return f"{kind}{self.name}{f'@{self.revision}' if self.revision else ''}{f'/{self.path}' if self.path else ''}"


@dataclass(frozen=True)
class Address:
    """One file of one commit: what `Extent.file` holds where the file is not on this machine."""

    hub: HubId

    @classmethod
    def of(cls, hub: HubId, name: str) -> Address:
        """The address of a file of a repository at a commit."""
        return cls(replace(hub, path=name))

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """The address in "hub:owner/name@COMMIT/file"; None for a path on this machine."""
        hub = parse(text) if text.startswith(PREFIX) else None
        return cls(hub) if hub and hub.commit and hub.path else None

    @property
    def file(self) -> str:
        """The name of the file in its repository."""
        return self.hub.path

    def __str__(self) -> str:
        return f"{PREFIX}{self.hub}"


def parse(source: str) -> HubId | None:
    """The repository that a source names; None for what is not of that form.

    >>> parse("acme/tiny@v1")
    HubId(name='acme/tiny', revision='v1', path='', kind='model')
    >>> parse("a/relative/path"), parse("hub:acme/tiny/unet").path
    (None, 'unet')
    """
    found = _ID.fullmatch(source)
    if found is None or any(each in source for each in FORBIDDEN):
        return None
    if not found["prefix"] and not _BARE.fullmatch(source):
        return None
    return HubId(
        found["name"],
        found["revision"] or "",
        (found["path"] or "").strip("/"),
        "dataset" if found["datasets"] else "model",
    )
