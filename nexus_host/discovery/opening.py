"""Which loader opens a source, and the catalogues that plugins bring."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nexus_specs import Architecture, ArchitectureComponent, Component, Lookup, NexusError, locate, resolve

from ..words import did_you_mean, listed

_CONFIG, _GGUF = "config.json", ".gguf"
_EXAMPLE = '"model_type": "bert", say'
_ADDRESS = re.compile(r"https?://[^/]+/([\w.-]+/[\w.-]+)(?:/.*)?")
_BARE = re.compile(r"[\w-][\w.-]*")
_INSIDE = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.#-]+){2,}")
"""What may be meant for a folder of a repository: OWNER/NAME/FOLDER."""
_LARGEST = 32 << 20
"""Bytes of a config.json that is looked into."""
_Said = TypeVar("_Said")
STOPS = (KeyboardInterrupt, GeneratorExit)
"""What ends a program and is no fault of a file."""


class Offers(Lookup, Protocol):
    """What is needed of `Plugins` here."""


def loader(lookup: Offers, source: str) -> tuple[str, Architecture]:
    """The loader with the highest claim on a source, and its name.

    One that cannot even be made is passed over, and named if nothing else opens the source. Raises NexusError for
    none, and for two that claim alike.
    """
    claims, failed, said = _claims(lookup, source)
    best = max((claim for claim, _ in claims.values()), default=0)
    names = [name for name, (claim, _) in claims.items() if claim == best]
    if best == 0 and said:
        raise NexusError(" ".join(said))
    if best == 0:
        tried = f"Tried: {listed(claims)}." + (f" Failed: {'; '.join(failed)}." if failed else "")
        first = " Mend what failed first: it may be what opens this." if failed and is_here(source) else ""
        raise NexusError(f"No loader opens '{source}': {_absence(source)} {tried}{first}")
    if len(names) > 1:
        raise NexusError(f"Two loaders claim '{source}' alike: {' and '.join(names)}. Switch one off with --without.")
    return names[0], claims[names[0]][1]


def is_here(source: str) -> bool:
    """Whether a source lies on this machine: looking at it asks nobody."""
    try:
        return locate(source).exists()
    except OSError:
        return False


def _absence(source: str) -> str:
    """What is the matter with a source that nothing opens, and what to do."""
    try:
        path = locate(source)
    except (FileNotFoundError, ModuleNotFoundError) as error:
        return f"{error}. Install it with pip."
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir())[:5]
        if files := [name for name in inside if name.lower().endswith(_GGUF)]:
            return f"the folder has no {_CONFIG}, and several models. Name one of its files, as {path / files[0]}."
        if (path / _CONFIG).is_file():
            return _unknown(path / _CONFIG)
        if (path / _CONFIG).exists() or (path / _CONFIG).is_symlink():
            return f"its {_CONFIG} is no file that can be read. Put the file there."
        return f"the folder has no {_CONFIG} (it holds {listed(inside)}). Name the folder of one checkpoint."
    if path.exists():
        return f"it is a file. Name the folder that holds {_CONFIG} and the weights (*.safetensors)."
    if path.is_symlink():
        return "it is a link to nothing. Mend the link, or name the folder itself."
    if found := _ADDRESS.fullmatch(source):
        return f"it is an address. Name the repository: {found[1]}."
    near = did_you_mean(path.name, [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else [])
    if _BARE.fullmatch(source) and not near:
        return (
            f"there is no folder '{source}' here, and on the hub a name has an owner: OWNER/{source} "
            f"(https://huggingface.co/models?search={source} finds it)."
        )
    inner = f" (of a folder in it: hub:{source})" if _INSIDE.fullmatch(source) and not near else ""
    kinds = f"Name a folder, package:NAME/PATH, or OWNER/NAME on the hub{inner}."
    return f"there is nothing at {path.absolute()}.{near} {kinds}"


def _unknown(config: Path) -> str:
    """What a config.json names that no loader knows."""
    try:
        told = json.loads(config.read_text(encoding="utf-8")) if config.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return f"its {_CONFIG} cannot be read. Fetch it again."
    named = told.get("model_type")
    if not isinstance(named, str):
        return f"its {_CONFIG} names no model_type. Fetch it again, or add the one it is of ({_EXAMPLE})."
    own = " The code that it brings along is never run, unless the registry trusts its commit." * ("auto_map" in told)
    return f"it is of the model type {named[:60]!r}, which no loader knows.{own} Update transformers or add a plugin."


def asked(name: str, source: str, ask: Callable[[], _Said]) -> _Said:
    """What a loader says of a source. NexusError also where it fails in a way that it did not foresee: the files are a
    stranger's, and whoever names them did nothing wrong."""
    try:
        return ask()
    except (NexusError, *STOPS):
        raise
    except BaseException as error:  # Rust's libraries panic with one
        said = " ".join(str(error).split())[:300]
        raise NexusError(
            f"The loader '{name}' can make nothing of '{source}' ({type(error).__name__}: {said}). Its files are "
            "damaged, or the loader has a fault: NEXUS_TRACEBACK=1 shows where."
        ) from error


def _claims(lookup: Offers, source: str) -> tuple[dict[str, tuple[int, Architecture]], list[str], list[str]]:
    """Claims by name; who failed, and of what; what is the matter with the source itself, in a loader's words (a
    repository on the hub that is closed, missing or out of reach), each once."""
    claims: dict[str, tuple[int, Architecture]] = {}
    failed: list[str] = []
    said: list[str] = []
    for name in sorted(lookup.components("architecture")):
        try:
            architecture = lookup.make("architecture", name)
        except (Exception, SystemExit) as error:
            failed.append(f"{name}: {error}")
            continue
        try:
            claims[name] = (architecture.match(source), architecture)
        except NexusError as error:
            said.append(str(error))
        except STOPS:
            raise
        except BaseException as error:
            failed.append(f"{name}: {error}")
    return claims, failed, list(dict.fromkeys(said))


def catalogue(lookup: Offers, kind: str) -> list[dict[str, Any]]:
    """The rows of all catalogues of a kind ("architecture" or "dataset"), in the order of their components."""
    rows: list[dict[str, Any]] = []
    for name, component in lookup.components(kind).items():
        target = component.catalogue if isinstance(component, ArchitectureComponent) else component.target
        rows += [{kind: name} | dict(row) for row in _rows(component, target)]
    return rows


def _rows(component: Component, target: str) -> Iterable[Mapping[str, Any]]:
    if not target:
        return [{"name": component.name, "summary": component.summary}]
    try:
        function: Callable[[], Iterable[Mapping[str, Any]]] = resolve(target)
        return list(function())
    except (Exception, SystemExit) as error:
        return [{"name": component.name, "error": f"{type(error).__name__}: {error}"}]
