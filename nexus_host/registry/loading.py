"""From a file to a checked model: find, read, lay flags over it, check everything, report all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nexus_specs import locate

from ..discovery import Plugins
from ..words import listed
from .cards import RegistryModel
from .draft import Draft, Select, shown
from .overrides import Override
from .problems import Path as Keys
from .problems import Place, RegistryError
from .reading import BYTES, line_of

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
    select: Select | None = None,
    datasets: Iterable[str] = (),
    *,
    files: bool = False,
) -> tuple[RegistryModel, Places]:
    """The model of a file, and where each value was written. Raises RegistryError with every mistake. `select` says
    which teachers' components are checked, and with `files` that their checkpoints and data are there; without it none
    are. `datasets` are names of `--datasets`, which a catalogue may know."""
    draft = Draft.read(text_of(path), path, plugins, overrides, datasets)
    problems = draft.problems()
    if select is not None:
        problems += draft.unfit(problems, select, files=files)
    return draft.model(problems), draft.document.places


def check_text(text: str, path: Path, plugins: Plugins) -> None:
    """Raises RegistryError with every mistake that a text would have at `path`; components are not looked at."""
    draft = Draft.read(text, path, plugins)
    draft.model(draft.problems())


def text_of(path: Path) -> str:
    """The text of a registry's file. Raises RegistryError where there is none that can be read."""
    try:
        if (size := path.stat().st_size) > _BYTES:
            raise RegistryError([f"{shown(path)}: has {size} bytes; at most {_BYTES} are read."])
        data = path.read_bytes()
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = line_of(data[: error.start].decode("utf-8"))
        where = f"{shown(path)}:{line}:{column}"
        raise RegistryError([f"{where}: is no text (byte {error.start} is not UTF-8). Save it as UTF-8."]) from error
    except OSError as error:
        raise RegistryError([f"{shown(path)}: cannot be read: {error.strerror}. Mend its permissions."]) from error
