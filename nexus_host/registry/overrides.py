"""`--set key.path=value`, and the switches that stages bring: laid over what the file says, before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .problems import Path, Place, Problem, RegistryError
from .reading import Document, leaves, value


@dataclass(frozen=True)
class Override:
    """A value for a path, and the flag that a message about it names."""

    path: Path
    value: Any
    flag: str = "--set"

    @classmethod
    def parse(cls, text: str) -> Override:
        """`key.path=value`, typed as YAML. Raises RegistryError.

        >>> Override.parse("losses.0.weight=5e-1")
        Override(path=('losses', 0, 'weight'), value=0.5, flag='--set losses.0.weight=5e-1')
        """
        key, equals, written = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise RegistryError([f"--set {text}: write it as key.path=value, as in --set run.seed=1"])
        try:
            found = value(written)
        except ValueError as error:
            raise RegistryError([f"--set {text}: the value {error}; put it in quotes if it is text"]) from error
        return cls(tuple(map(_step, parts)), found, f"--set {text}")


def _step(part: str) -> str | int:
    """A key, or a position in a list: "05" belongs to a key that holds a dot."""
    return int(part) if part.isdigit() and part == str(int(part)) else part


def apply(document: Document, overrides: Sequence[Override]) -> None:
    """Lays overrides over a document, in order; their values' places are their flags."""
    for override in overrides:
        place = Place(override.flag)
        document.data = {} if document.data is None else document.data
        path = _put(document.data, override)
        if path is None:
            document.problems.append(Problem(override.path, "there is nothing there to set", place))
            continue
        for below, _ in leaves(override.value, path):
            document.places |= {below[:length]: place for length in range(len(path), len(below) + 1)}


def _joined(data: Any, path: Path) -> Path:
    """A path in which the steps of a key that holds dots are one again: of the keys that are there the longest."""
    if isinstance(data, list) and path:
        step = path[0]
        return (step, *_joined(data[step] if isinstance(step, int) and step < len(data) else None, path[1:]))
    for end in range(len(path), 0, -1) if isinstance(data, dict) else ():
        key = ".".join(map(str, path[:end]))
        if key in data:
            return (key if end > 1 else path[0], *_joined(data[key], path[end:]))
    return path


def _put(data: Any, override: Override) -> Path | None:
    """Sets a value; makes the mappings on the way that are not there. Its path; None where the way is barred."""
    here, path = data, _joined(data, override.path)
    for index, part in enumerate(path):
        key: Any = part if isinstance(here, list) else str(part)
        barred = isinstance(here, list) and not (isinstance(part, int) and part < len(here))
        if barred or not isinstance(here, (dict, list)):
            return None
        path = (*path[:index], key, *path[index + 1 :])
        if index + 1 == len(path):
            here[key] = override.value
        elif isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
        here = here[key]
    return path
