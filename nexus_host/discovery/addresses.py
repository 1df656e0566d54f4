"""What an address of a repository is called here: the words of a browser, turned into a name."""

from __future__ import annotations

import re

_HOSTS = r"(?:www\.)?(?:huggingface\.co|hf\.co)"
_ADDRESS = re.compile(rf"(?:https?://[^/\s]+|hf:/|{_HOSTS})/((?:datasets|spaces|models)/)?([^?#]*)(?:[?#].*)?")
_PATH = re.compile(r"([\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve|raw)/([^/\s]+)(?:/(.+))?|/.*)?")
_ID = r"[A-Za-z0-9][\w.-]*/[\w.-]+"
_INSIDE = re.compile(rf"hub:({_ID}(?:@[^/]+)?)/(.+)")
_FILE = re.compile(rf"({_ID}(?:@[^/]+)?)/[^@]*\.(?:json|safetensors|bin|txt|model)")
_BRANCH = re.compile(rf"(?:hub:)?({_ID})@([\w.-]+(?:/[\w.-]+)+)")
_MODEL = ".gguf"
"""A file that is a whole checkpoint, and is named as one."""


def meant_by(source: str) -> str:
    """What to type for an address; "" for what is none.

    >>> meant_by("https://huggingface.co/acme/writer/tree/main")
    'it is an address. Name the repository: acme/writer.'
    >>> meant_by("hf.co/acme/writer/blob/v2/q4/writer.gguf?download=true")
    'it is an address. Name the repository: hub:acme/writer@v2/q4/writer.gguf.'
    >>> meant_by("file:///srv/writer"), meant_by("acme/writer")
    ('it is an address. Name the path: /srv/writer.', '')
    """
    if source.startswith("file://"):
        return f"it is an address. Name the path: {source.removeprefix('file://')}."
    if (found := _ADDRESS.fullmatch(source)) is None:
        return ""
    kind, path = found[1] or "", found[2].rstrip("/")
    if kind == "spaces/":
        return "it is the address of a program (a Space), not of a checkpoint. Name the repository of its model."
    if (named := _PATH.fullmatch(path)) is None:
        return "" if "://" not in source else "it is an address. Name a repository on the hub: OWNER/NAME."
    name, revision, inside = named[1], named[2] or "main", named[3] or ""
    if kind == "datasets/":
        return f"it is the address of a data set, not of a checkpoint: data: {{reader: hub, options: {{id: {name}}}}}."
    return f"it is an address. Name the repository: {_named(name, revision, inside)}."


def of_repository(source: str) -> str:
    """What is said of a place in a repository on the hub in which nothing of a checkpoint is; "" for what names none.

    >>> of_repository("hub:acme/writer@v2/no").partition(".")[0]
    "in the repository 'acme/writer@v2' is no checkpoint at 'no'"
    >>> of_repository("acme/writer/config.json")
    'there is no such file here, and of a repository on the hub the whole is named: acme/writer.'
    >>> of_repository("acme/writer@feature/x")
    'a slash in the name of a branch is written %2F: acme/writer@feature%2Fx.'
    """
    if found := _INSIDE.fullmatch(source):
        said = f"in the repository '{found[1]}' is no checkpoint at '{found[2]}'"
        return f"{said}. Name it alone, or a folder in it with config.json."
    if found := _FILE.fullmatch(source):
        return f"there is no such file here, and of a repository on the hub the whole is named: {found[1]}."
    if found := _BRANCH.fullmatch(source):
        return f"a slash in the name of a branch is written %2F: {found[1]}@{found[2].replace('/', '%2F')}."
    return ""


def _named(name: str, revision: str, inside: str) -> str:
    """The name of what an address shows: a GGUF file, a folder, else the repository, at its revision."""
    at = "" if revision == "main" else f"@{revision}"
    last = inside.rpartition("/")[2]
    if "." in last and not last.lower().endswith(_MODEL):
        inside = inside.rpartition("/")[0]
    if not inside:
        return f"{name}{at}"
    return f"hub:{name}{at}/{inside}" if at or "/" in inside or not inside.endswith(_MODEL) else f"{name}/{inside}"
