"""Which loader opens a source."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Protocol, TypeVar

from nexus_specs import Architecture, Lookup, NexusError, locate
from nexus_specs.installed import STOPS, claims_on

from ..words import listed
from .absence import absence, pointers, without_end

_Said = TypeVar("_Said")
_NAMES = "Name a folder, package:NAME/PATH, or OWNER/NAME on the hub."
_SHOWN = 40
"""Characters of a name without end that are shown."""


class Offers(Lookup, Protocol):
    """What is needed of `Plugins` here."""

    def absent(self) -> str:
        """A sentence that names the plugins that did not load."""


def loader(lookup: Offers, source: str) -> tuple[str, Architecture]:
    """The loader with the highest claim on a source, and its name.

    One that cannot even be made is passed over, and named if nothing else opens the source. Raises NexusError for
    none, and for two that claim alike.
    """
    if not source.strip():
        raise NexusError(f"The source is empty. {_NAMES}")
    if _too_long(source):
        shown = f"'{source[:_SHOWN]}…'"
        raise NexusError(f"The source is {len(source):,} characters long, and no path is: {shown}. {_NAMES}")
    if endless := without_end(source):
        raise NexusError(
            f"'{endless}' leads to {os.path.realpath(endless)}, which this system makes up as it is read, perhaps "
            "without end: no file of a checkpoint. Put the file itself there."
        )
    claims, failed, said = claims_on(lookup, source)
    best = max((claim for claim, _ in claims.values()), default=0)
    names = [name for name, (claim, _) in claims.items() if claim == best]
    if best == 0 and said:
        raise NexusError(pointers(source) or " ".join(said))
    if best == 0:
        tried = f"Tried: {listed(claims)}." + (f" Failed: {'; '.join(failed)}." if failed else "")
        first = " Mend what failed first: it may be what opens this." if failed and is_here(source) else ""
        if met := pointers(source):
            raise NexusError(met)
        raise NexusError(f"No loader opens '{source}': {absence(lookup, source)} {tried}{lookup.absent()}{first}")
    if len(names) > 1:
        raise NexusError(f"Two loaders claim '{source}' alike: {' and '.join(names)}. Switch one off with --without.")
    return names[0], claims[names[0]][1]


def is_here(source: str) -> bool:
    """Whether a source lies on this machine: looking at it asks nobody."""
    try:
        return locate(source).exists()
    except OSError:
        return False


def _too_long(source: str) -> bool:
    """Whether no file can be called so."""
    try:
        locate(source).stat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:                                      # with a sign that no path has
        return False
    return False


def asked(name: str, source: str, ask: Callable[[], _Said]) -> _Said:
    """What a loader says of a source. NexusError also where it fails in a way that it did not foresee: the files are a
    stranger's, and whoever names them did nothing wrong."""
    try:
        return ask()
    except NexusError as error:
        if said := pointers(source):
            raise NexusError(said) from error
        raise
    except STOPS:
        raise
    except BaseException as error:  # Rust's libraries panic with one
        said = " ".join(str(error).split())[:300]
        raise NexusError(
            f"The loader '{name}' can make nothing of '{source}' ({type(error).__name__}: {said}). Its files are "
            "damaged, or the loader has a fault: NEXUS_TRACEBACK=1 shows where."
        ) from error
