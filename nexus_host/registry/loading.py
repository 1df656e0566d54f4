"""From a file to a checked model: find, read, lay flags over it, check everything, report all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, locate

from ..discovery import Plugins
from ..words import listed
from .cards import RegistryModel
from .catalogued import complete
from .checks import ComponentChecks, references
from .overrides import Override, apply
from .places import settle
from .problems import Problem, RegistryError, refuse
from .reading import read
from .shape import Shaped, validate

FILE = "registry.yaml"
STARTER = "starter"


def find(path: Path | None, plugins: Plugins) -> Path:
    """The registry's file: the one given, ./registry.yaml, or the one that a plugin brings. Raises RegistryError."""
    if path is None and Path(FILE).is_file():
        path = Path(FILE)
    if path is not None:
        if path.is_dir():
            raise RegistryError([f"{path}: is a folder. Name the file, as in --registry {path / FILE}"])
        if not path.is_file():
            raise RegistryError([f"{path}: there is no such file. Type `nexus add SOURCE` to write one."])
        return path.absolute()
    found = default(plugins)
    if found is None:
        offered = listed(plugins.components("registry"))
        raise RegistryError(
            [
                f"There is no {FILE} here, and no plugin brings one by default (offered: {offered}). "
                "Type `nexus add SOURCE` to write one, or `pip install nexus-starter`."
            ]
        )
    return found


def default(plugins: Plugins) -> Path | None:
    """The registry that a plugin brings: the one named "starter", or the only one."""
    offered = plugins.components("registry")
    name = STARTER if STARTER in offered else next(iter(offered)) if len(offered) == 1 else ""
    if not name:
        return None
    package, _, inner = offered[name].target.partition(":")
    return locate(f"package:{package}/{inner}").absolute()


def load(
    path: Path,
    plugins: Plugins,
    overrides: Sequence[Override] = (),
    select: Callable[[RegistryModel], tuple[str, ...]] | None = None,
    datasets: Iterable[str] = (),
) -> RegistryModel:
    """The model of a file. Raises RegistryError with every mistake. `select` says which teachers' components are
    checked; without it none are. `datasets` are names of `--datasets`, which a catalogue may know."""
    return _load(_text(path), path, plugins, overrides, select, datasets)


def check_text(text: str, path: Path, plugins: Plugins) -> None:
    """Raises RegistryError with every mistake that a text would have at `path`; components are not looked at."""
    _load(text, path, plugins, (), None)


def _load(
    text: str,
    path: Path,
    plugins: Plugins,
    overrides: Sequence[Override],
    select: Callable[[RegistryModel], tuple[str, ...]] | None,
    datasets: Iterable[str] = (),
) -> RegistryModel:
    document = read(text, _shown(path))
    if document.data is not None or not document.problems:
        apply(document, overrides)
    if isinstance(document.data, dict):
        complete(document.data, plugins, datasets)
    shaped = validate(document.data)
    problems = document.problems + (shaped.problems if document.data is not None else [])
    if isinstance(document.data, dict):
        problems += _unique(problems, _checks(document.data, shaped, plugins, select))
    refuse(problems, document.places, document.source)
    return validate(settle(document.data, shaped.model, plugins, path.parent, document.places)).model


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RegistryError([f"{path}: is no text (byte {error.start} is not UTF-8). Save it as UTF-8."]) from error
    except OSError as error:
        raise RegistryError([f"{path}: cannot be read: {error.strerror}. Mend its permissions."]) from error


def _shown(path: Path) -> str:
    """The path as a person here would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _checks(
    data: dict[str, Any],
    shaped: Shaped,
    plugins: Plugins,
    select: Callable[[RegistryModel], tuple[str, ...]] | None,
) -> list[Problem]:
    model = shaped.model
    sections = {
        name: list(data[name]) if isinstance(data.get(name), dict) else [] for name in ("teachers", "towers", "data")
    }
    problems = list(references(shaped, sections))
    if select is None:
        return problems
    try:
        teachers = select(model)
    except NexusError:
        # said by itself once the file is right; cards that are not ready need nothing that is installed
        teachers = tuple(name for name, card in model.teachers.items() if card.status == "ready")
    cards = [model.teachers[name] for name in teachers]
    used = {"teachers": set(teachers), "towers": {card.tower for card in cards}, "data": {card.data for card in cards}}
    return problems + list(ComponentChecks(shaped, plugins, used).problems())


def _unique(before: list[Problem], after: list[Problem]) -> list[Problem]:
    """Later problems, less those of values in which something was found already."""
    known = {problem.path for problem in before}
    return [each for each in after if each.path not in known]
