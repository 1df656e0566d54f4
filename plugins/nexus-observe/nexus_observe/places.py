"""Where data lie. A release names them without the folders of the machine that made it, and finds them again: in what
`verify --data` says, else where the registry of the run says that the release lies in."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import Choice, Component, resolve

REGISTRY = "registry.yaml"


def locations(component: Component | None) -> frozenset[str]:
    """The options of a component that name files."""
    if component is None or not component.options:
        return frozenset()
    fields = dataclasses.fields(resolve(component.options))
    return frozenset(field.name for field in fields if field.metadata.get("location"))


def portable(choice: Choice, names: frozenset[str]) -> Choice:
    """A choice whose absolute paths are relative to the folder that holds them all."""
    home = base(choice.options, names)
    if home is None:
        return choice
    options = changed(choice.options, names, lambda text: _below(text, home))
    return dataclasses.replace(choice, options=options)


def base(options: Mapping[str, Any], names: frozenset[str]) -> Path | None:
    """The folder that holds all absolute paths of some options; None where there are none."""
    folders = [str(Path(text).parent) for text in strings(options, names) if Path(text).is_absolute()]
    return Path(os.path.commonpath(folders)) if folders else None


def wanted(options: Mapping[str, Any], names: frozenset[str]) -> list[str]:
    """The paths of some options that are relative: what has to be found."""
    return [text for text in strings(options, names) if _relative(text)]


def placed(options: Mapping[str, Any], names: frozenset[str], homes: Sequence[Path]) -> Mapping[str, Any] | None:
    """The options with every relative path made absolute, under the first home that holds one of them; a home may be
    the file itself. None where no home holds any."""
    missing = wanted(options, names)
    if not missing:
        return options
    for home in homes:
        if home.is_file() and (len(set(missing)) == 1 or home.name in {Path(text).name for text in missing}):
            return changed(options, names, lambda text, home=home: str(home) if _relative(text) else text)
        if any((home / text).exists() for text in missing):
            return changed(options, names, lambda text, home=home: str(home / text) if _relative(text) else text)
    return None


def registered(release: Path) -> Mapping[str, Any]:
    """The registry of the run that a release lies in; {} where it lies in none."""
    path = release.resolve().parent / REGISTRY
    if not path.is_file():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def strings(options: Mapping[str, Any], names: frozenset[str]) -> Iterator[str]:
    """Every text in the options that name files."""
    for name in sorted(names & options.keys()):
        yield from _texts(options[name])


def changed(options: Mapping[str, Any], names: frozenset[str], change: Callable[[str], str]) -> Mapping[str, Any]:
    """The options with every text in those that name files put through `change`."""
    return {name: _each(value, change) if name in names else value for name, value in options.items()}


def _relative(text: str) -> bool:
    return bool(text) and ":" not in text and not Path(text).is_absolute()


def _below(text: str, home: Path) -> str:
    return Path(text).relative_to(home).as_posix() if Path(text).is_absolute() else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, Path)):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _all(value.values())
    elif isinstance(value, (list, tuple)):
        yield from _all(value)


def _all(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from _texts(value)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, (str, Path)):
        return change(str(value)) if str(value) else value
    if isinstance(value, Mapping):
        return {name: _each(each, change) for name, each in value.items()}
    return [_each(each, change) for each in value] if isinstance(value, (list, tuple)) else value
