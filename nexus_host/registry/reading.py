"""YAML to plain data with the place of every value. Refuses what YAML would accept in silence: a key written twice,
aliases and nesting without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML, events, nodes
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from .problems import Path, Place, Problem

DEEPEST = 24
ALIASES = 64
LARGEST = 20_000
"""Values in a file, also once its aliases are followed."""
BYTES = 1_000_000
TAG = "tag:yaml.org,2002:"


@dataclass
class Document:
    """A file's data, where each value stands, and what is wrong with the file itself."""

    source: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Path] = field(default_factory=set)
    """Where something stands that is no data: nothing more is said of it."""
    endless: bool = False
    """Whether its aliases lead nowhere or too far, so that there are no data."""

    def wrong(self, message: str, mark: Any = None, path: Path = ()) -> None:
        """Notes a mistake at a mark of the parser."""
        self.problems.append(Problem(path, message, self.place(mark) if mark else Place(self.source, 1, 1)))

    def place(self, mark: Any) -> Place:
        """A mark of the parser, counted from 1."""
        return Place(self.source, mark.line + 1, mark.column + 1)


def read(text: str, source: str) -> Document:
    """The document of a YAML text. Never raises for its content: what is wrong stands in `problems`."""
    document = Document(source)
    try:
        if _bounded(document, text):
            node = _yaml().compose(text)
            found = _Walk(document).value(node, ()) if node is not None else None
            document.data = None if document.endless else found
    except MarkedYAMLError as error:
        document.wrong(f"is no YAML: {_said(error)}", error.problem_mark or error.context_mark)
    except ReaderError as error:
        line, column = line_of(text[: error.position])
        message = f"is no YAML: the character {text[error.position]!a} may not stand in it"
        document.problems.append(Problem((), message, Place(source, line, column)))
    except YAMLError as error:
        document.wrong(f"is no YAML: {str(error).splitlines()[0]}")
    return document


def line_of(text: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows a text."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _said(error: MarkedYAMLError) -> str:
    """What the parser found, with what to do where it does not say so itself."""
    problem = str(error.problem or error.context)
    if "found another document" in problem:
        return "a second document begins here (---); keep one"
    if "'\\t'" in problem:
        return "a tab stands here; indent and separate with spaces"
    begun = error.context_mark.line + 1 if error.context_mark else 0
    apart = error.problem_mark is not None and begun not in (0, error.problem_mark.line + 1)
    return f"{problem} ({error.context} that begins in line {begun})" if apart else problem


def value(text: str) -> Any:
    """One value, typed as in a file (for `--set`). Raises ValueError for what is no YAML."""
    document = read(text, "value")
    if document.problems:
        raise ValueError(document.problems[0].message)
    return document.data


def _yaml() -> Any:
    return YAML(typ="safe", pure=True)


def _bounded(document: Document, text: str) -> bool:
    """Whether a file is small enough to compose: the stream of events is looked at before anything recursive."""
    depth = aliases = values = 0
    if len(text) > BYTES:
        document.wrong(f"has {len(text)} characters; at most {BYTES} are read")
        return False
    for event in _yaml().parse(text):
        depth += isinstance(event, events.CollectionStartEvent) - isinstance(event, events.CollectionEndEvent)
        aliases += isinstance(event, events.AliasEvent)
        values += isinstance(event, events.NodeEvent)
        if depth > DEEPEST or aliases > ALIASES or values > LARGEST:
            what = f"has more than {LARGEST} values" if values > LARGEST else f"has more than {ALIASES} aliases (*name)"
            document.wrong(f"is nested deeper than {DEEPEST}" if depth > DEEPEST else what, event.start_mark)
            return False
    return True


class _Walk:
    """Nodes to plain data."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0
        self.around: list[nodes.Node] = []
        """What the value at hand stands in."""

    def value(self, node: nodes.Node, path: Path) -> Any:
        """The data of a node; its place is noted under its path."""
        self.count += 1
        self.document.places.setdefault(path, self.document.place(node.start_mark))
        if self.document.endless:
            return None
        if self.count > LARGEST or len(path) > DEEPEST or any(node is each for each in self.around):
            self.document.endless = True
            self.document.wrong("its aliases (*name) make it endless or too large", node.start_mark, path)
            return None
        if isinstance(node, nodes.ScalarNode):
            return self.scalar(node, path)
        if str(node.tag).removeprefix(TAG) not in ("map", "seq"):
            self.foreign(node, path)
            return None
        self.around.append(node)
        try:
            return self.mapping(node, path) if isinstance(node, nodes.MappingNode) else self.sequence(node, path)
        finally:
            self.around.pop()

    def sequence(self, node: nodes.Node, path: Path) -> list[Any]:
        """The items of a list."""
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def foreign(self, node: nodes.Node, path: Path) -> None:
        """Notes a tag that plain data do not have (`!!python/object` and what else asks for code)."""
        self.document.wrong(f"the tag '{node.tag}' is not allowed; write plain YAML", node.start_mark, path)
        self.document.unread.add(path)

    def mapping(self, node: nodes.MappingNode, path: Path) -> dict[str, Any]:
        """Keys are text, whatever they look like; what `<<` brings gives way to what is written."""
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        first: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == TAG + "merge":
                merged |= self.merge(item, path)
                continue
            name = str(key.value)
            if not isinstance(key, nodes.ScalarNode):
                self.document.wrong("a key must be text", key.start_mark, path)
            elif name in first:
                line = first[name].line + 1
                self.document.wrong(f"is written twice; first in line {line}", key.start_mark, (*path, name))
            else:
                first[name] = key.start_mark
                self.document.places[*path, name] = self.document.place(key.start_mark)
                found[name] = self.value(item, (*path, name))
        return merged | found

    def merge(self, node: nodes.Node, path: Path) -> dict[str, Any]:
        """What `<<: *name` or `<<: [*a, *b]` brings; the first of several wins."""
        items = node.value if isinstance(node, nodes.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for item in items:
            if isinstance(item, nodes.MappingNode):
                found = self.value(item, path) | found
            else:
                self.document.wrong("<<: takes a mapping or a list of mappings", item.start_mark, path)
        return found

    def scalar(self, node: nodes.Node, path: Path) -> Any:
        """Text, number, true, false or null. A date is the text it was written as."""
        sort = str(node.tag).removeprefix(TAG)
        text = str(node.value)
        if sort not in SCALARS:
            self.foreign(node, path)
            return None
        try:
            text.encode()
            return SCALARS[sort](text)
        except UnicodeEncodeError as error:
            message = f"holds the character {text[error.start]!a}, which cannot be written to a file"
            self.document.wrong(message, node.start_mark, path)
            self.document.unread.add(path)
            return None
        except ValueError:
            self.document.wrong(f"is {text[:20]}…, which is no number that can be read", node.start_mark, path)
            self.document.unread.add(path)
            return None


def _integer(text: str) -> int:
    plain = text.replace("_", "").lower().lstrip("+")
    return int(plain, 0) if plain.lstrip("-")[:2] in ("0x", "0o", "0b") else int(plain)


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


SCALARS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "timestamp": str,
    "int": _integer,
    "float": _float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda _: None,
}


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that holds no other, with its path."""
    inner = enumerate(data) if isinstance(data, list) else data.items() if isinstance(data, dict) else None
    if inner is None:
        yield path, data
        return
    for key, item in inner:
        yield from leaves(item, (*path, key))
