"""Where the modules of components lie: found, never imported, since what a component imports may be heavy."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path


def missing(target: str) -> str:
    """The first module on the way to a target that is not there; "" where all are.

    >>> missing("json.decoder:JSONDecoder"), missing("json.nothing:Nothing")
    ('', 'json.nothing')
    """
    name = ""
    spec: ModuleSpec | None = None
    for part in target.partition(":")[0].split("."):
        above, name = spec, f"{name}.{part}" if name else part
        if name in sys.modules:                             # also what a package makes of itself as it is imported
            spec = sys.modules[name].__spec__
            continue
        if above is not None and above.submodule_search_locations is None:
            return name
        spec = PathFinder.find_spec(name, above.submodule_search_locations) if above else _top(name)
        if spec is None:
            return name
    return ""


def _top(name: str) -> ModuleSpec | None:
    """A package or module that stands alone, by whatever finder (one that is installed for editing has its own)."""
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def files(packages: Iterable[str]) -> tuple[Path, ...]:
    """The Python files of top-level packages or modules."""
    found: set[Path] = set()
    for package in packages:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found |= set(Path(folder).rglob("*.py"))
        if spec and spec.origin and not spec.submodule_search_locations:
            found.add(Path(spec.origin))
    return tuple(sorted(found))
