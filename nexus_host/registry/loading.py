"""From a file to a checked model: find, read, lay flags over it, check everything, report all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, locate

from ..discovery import Plugins
from ..words import listed
from .cards import RegistryModel
from .catalogued import complete
from .checks import ComponentChecks, references
from .overrides import Override, apply
from .places import absent, settle
from .problems import Path as Keys
from .problems import Place, Problem, RegistryError, refuse
from .reading import BYTES, line_of, read
from .shape import Shaped, validate

Places = Mapping[Keys, Place]
FILE = "registry.yaml"
STARTER = "starter"
_BYTES = 4 * BYTES
"""Of a file that is looked into at all: a character has at most four."""


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
    *,
    files: bool = False,
) -> tuple[RegistryModel, Places]:
    """The model of a file, and where each value was written. Raises RegistryError with every mistake. `select` says
    which teachers' components are checked, and with `files` that their checkpoints and data are there; without it none
    are. `datasets` are names of `--datasets`, which a catalogue may know."""
    return _load(text_of(path), path, plugins, overrides, select, datasets, files=files)


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
    *,
    files: bool = False,
) -> tuple[RegistryModel, Places]:
    document = read(text, _shown(path))
    if document.data is not None or not document.problems:
        apply(document, overrides)
    if isinstance(document.data, dict):
        complete(document.data, plugins, datasets)
    shaped = validate(document.data)
    problems = list(document.problems)
    if document.data is not None:
        problems += [each for each in shaped.problems if each.path not in document.unread]
    if isinstance(document.data, dict):
        found, used = _checks(document.data, shaped, plugins, select)
        problems += _unique(problems, found)
        if files:
            problems += _unique(problems, list(absent(shaped.model, plugins, path.parent, document.places, used)))
    refuse(problems, document.places, document.source)
    settled = settle(document.data, shaped.model, plugins, path.parent, document.places)
    return validate(settled).model, document.places


def text_of(path: Path) -> str:
    """The text of a registry's file. Raises RegistryError where there is none that can be read."""
    try:
        if (size := path.stat().st_size) > _BYTES:
            raise RegistryError([f"{_shown(path)}: has {size} bytes; at most {_BYTES} are read."])
        data = path.read_bytes()
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = line_of(data[: error.start].decode("utf-8"))
        where = f"{_shown(path)}:{line}:{column}"
        raise RegistryError([f"{where}: is no text (byte {error.start} is not UTF-8). Save it as UTF-8."]) from error
    except OSError as error:
        raise RegistryError([f"{_shown(path)}: cannot be read: {error.strerror}. Mend its permissions."]) from error


def _shown(path: Path) -> str:
    """The path as a person here would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _checks(
    data: dict[str, Any],
    shaped: Shaped,
    plugins: Plugins,
    select: Callable[[RegistryModel], tuple[str, ...]] | None,
) -> tuple[list[Problem], dict[str, set[str]]]:
    """What the file says against itself and against what is installed; the ids of its sections that are used."""
    model = shaped.model
    sections = {
        name: list(data[name]) if isinstance(data.get(name), dict) else [] for name in ("teachers", "towers", "data")
    }
    problems = list(references(shaped, sections))
    if select is None:
        return problems, {"teachers": set(), "towers": set(), "data": set()}
    try:
        teachers = select(model)
    except NexusError:
        # said by itself once the file is right; cards that are not ready need nothing that is installed
        teachers = tuple(name for name, card in model.teachers.items() if card.status == "ready")
    cards = [model.teachers[name] for name in teachers]
    used = {"teachers": set(teachers), "towers": {card.tower for card in cards}, "data": {card.data for card in cards}}
    return problems + list(ComponentChecks(shaped, plugins, used).problems()), used


def _unique(before: list[Problem], after: list[Problem]) -> list[Problem]:
    """Later problems, less those of values in which something was found already."""
    known = {problem.path for problem in before}
    return [each for each in after if each.path not in known]
