"""`revision` and `trust` of a teacher's card: which commit of a repository on the hub is meant, and whether code that
lies in it may run. Code of one commit is allowed, never that of a branch, which changes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from .cards import RegistryModel, TeacherCard
from .problems import Problem

VARIABLE = "NEXUS_TRUST"
"""Environment variable that loaders read: "owner/name@COMMIT", separated by spaces."""
_TRUSTED = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})")
_PREFIX, _HERE = "hub:", ("/", "package:")
_OWN = ("refs/pr/", "refs/convert/")
"""The hub's own branches, which are written as they are (nexus_torch.hub.names)."""


def problems(model: RegistryModel) -> Iterator[Problem]:
    """What is wrong with `trust` in any card."""
    for name, card in model.teachers.items():
        message = _mistake(card) if card.trust else ""
        if message:
            yield Problem(("teachers", name, "trust"), message)


def _mistake(card: TeacherCard) -> str:
    found = _TRUSTED.fullmatch(card.trust)
    if found is None:
        return (
            f"is '{card.trust}'; write owner/name@COMMIT with all 40 digits of the commit whose code you have read. "
            "A branch can change under you"
        )
    repository, _, revision = card.source.removeprefix(_PREFIX).partition("@")
    if repository != found["name"]:
        return f"is for '{found['name']}', but the source is '{repository}'. Code of another repository is never run"
    for said in (revision, card.revision):
        if said and said != found["commit"]:
            return f"is for the commit {found['commit'][:12]}…, but the revision is '{said}'. Name one commit in both"
    return ""


def pinned(source: str, revision: str, trust: str) -> str:
    """A source on the hub at the revision that the card names."""
    commit = trust.partition("@")[2] or revision
    if not commit or source.startswith(_HERE) or "@" in source:
        return source
    return f"{source}@{written(commit)}"


def written(revision: str) -> str:
    """A revision as it stands behind "@": a slash in a branch's name would begin a path there."""
    return revision if revision.startswith(_OWN) else revision.replace("/", "%2F")


def allow(cards: Iterable[TeacherCard]) -> None:
    """Allows this process and its workers the code that these cards trust, and no other."""
    trusted = sorted({card.trust for card in cards if card.trust})
    if trusted:
        os.environ[VARIABLE] = " ".join(trusted)
    else:
        os.environ.pop(VARIABLE, None)
