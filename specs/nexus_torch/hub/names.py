"""Names on the hub: "owner/name", "hub:owner/name", "@revision" behind them, and a path inside."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

PREFIX, DATASETS = "hub:", "datasets/"
COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = r"[A-Za-z0-9_](?:[\w.-]*[\w-])?"
_REVISION = r"refs/(?:pr|convert)/[\w.-]+|[\w.-]+(?:%2[Ff][\w.-]+)*"
"""A branch's name may have slashes, which are written %2F behind "@": what follows a slash there is a path."""
_ID = re.compile(
    rf"(?P<prefix>hub:)?(?P<datasets>datasets/)?(?P<name>(?:{_NAME}/)?{_NAME})"
    rf"(?:@(?P<revision>{_REVISION}))?(?:/(?P<path>[^@]+))?"
)
_BARE = re.compile(rf"{_NAME}/{_NAME}(?:@(?:{_REVISION}))?(?:/[^@]+\.gguf)?")
"""What is taken for a name on the hub without "hub:" before it: a relative path must not be mistaken for one."""
FORBIDDEN = ("--", "..")
OWN = ("refs/pr/", "refs/convert/")
"""The hub's own branches."""


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
        revision = f"@{written(self.revision)}" if self.revision else ""
        return f"{kind}{self.name}{revision}{f'/{self.path}' if self.path else ''}"


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


def written(revision: str) -> str:
    """A revision as it is written behind "@".

    >>> written("feature/x"), written("refs/pr/1"), written("v1.0")
    ('feature%2Fx', 'refs/pr/1', 'v1.0')
    """
    return revision if revision.startswith(OWN) else revision.replace("/", "%2F")


def parse(source: str) -> HubId | None:
    """The repository that a source names; None for what is not of that form.

    >>> parse("acme/tiny@v1")
    HubId(name='acme/tiny', revision='v1', path='', kind='model')
    >>> parse("acme/tiny@feature%2Fx").revision
    'feature/x'
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
        re.sub("%2[Ff]", "/", found["revision"] or ""),
        (found["path"] or "").strip("/"),
        "dataset" if found["datasets"] else "model",
    )
