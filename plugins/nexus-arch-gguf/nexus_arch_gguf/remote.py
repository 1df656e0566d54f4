"""GGUF files on a hub: found by name, and read in ranges. The address of such a file passes for its path."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from nexus_specs import NexusError
from nexus_torch import hub

SUFFIX, OTHERS = ".gguf", ("mmproj", "imatrix")
"""What model files end in, and what the names of files say that hold no model of their own."""
SHOWN = 12
BLOCK, KEPT = 1 << 18, 100
"""Bytes that are fetched at once, and how many such blocks are kept."""


def on_hub(source: str) -> Path | None:
    """The file that a name on the hub means: itself, or the only model of a repository without safetensors. Where it
    was fetched, its path; else its address. NexusError for a repository with several."""
    named = hub.parse(source)
    if named is None or (named.path and not named.path.endswith(SUFFIX)):
        return None
    listing = hub.resolve(named)
    names = sorted(name for name in listing.files if name.endswith(SUFFIX) and is_model(name))
    if named.path:
        if named.path not in listing.files:
            raise NexusError(f"'{named.name}' has no file '{named.path}'. {_choice(named, names)}")
        return _place(listing, named.path)
    theirs = "config.json" in listing.files and any(name.endswith(".safetensors") for name in listing.files)
    if not names or theirs:
        return None
    heads = _heads(names)
    if len(heads) > 1 and "config.json" not in listing.files:
        raise NexusError(f"'{named.name}' holds {len(heads)} GGUF models. {_choice(named, heads)}")
    return _place(listing, heads[0])                        # beside a config.json `check_one` speaks of the others


def check_one(source: str) -> None:
    """NexusError for a repository of several models and a config.json, which other loaders would describe without
    weights."""
    named = hub.parse(source)
    if named is None or named.path:
        return
    listing = hub.resolve(named)
    heads = _heads(sorted(name for name in listing.files if name.endswith(SUFFIX) and is_model(name)))
    if len(heads) > 1:
        raise NexusError(f"'{named.name}' holds {len(heads)} GGUF models. {_choice(named, heads)}")


def _heads(names: list[str]) -> list[str]:
    """Of files that are split, the first."""
    return [name for name in names if "-of-" not in name or "-00001-of-" in name]


def is_model(name: str) -> bool:
    """Whether a file's name is that of a model: not of a tower for one, nor of statistics."""
    return not any(other in name.rpartition("/")[2].lower() for other in OTHERS)


def there(path: Path) -> bool:
    """Whether a file is on this machine, or on the hub where its path is an address."""
    address = hub.Address.parse(str(path))
    return path.is_file() if address is None else address.file in hub.resolve(address.hub).files


def opened(path: Path) -> hub.RangeFile | None:
    """A file on the hub; None for one on this machine."""
    address = hub.Address.parse(str(path))
    return None if address is None else _ranges(address)


@lru_cache(maxsize=4)
def _ranges(address: hub.Address) -> hub.RangeFile:
    """One for all who read a file, so that the header is fetched once; its blocks hold the largest vocabularies."""
    return hub.RangeFile(address, BLOCK, KEPT)


def _place(listing: hub.Listing, name: str) -> Path:
    return Path(hub.place(hub.snapshot_folder(listing.hub), name))


def _choice(named: hub.HubId, names: list[str]) -> str:
    return f"Name one: {named.name}/FILE, where FILE is one of {listed(names)}" if names else "It holds no GGUF model."


def listed(names: Sequence[str]) -> str:
    """The first of them, and whether there are more."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
