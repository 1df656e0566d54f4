"""The folder of a commit as a loader sees it: its small files are there, its weights are named."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from .cache import snapshot_folder, storage
from .errors import HubError, Unknown, kept_for
from .fetching import check_room, fetch
from .listing import Listing, on_disk, resolve
from .names import COMMIT, Address, HubId, parse
from .settings import offline
from .telling import File

SMALL = (".json", ".txt", ".model", ".jinja", ".spm", ".vocab", ".bpe", ".tiktoken", ".yaml", ".yml")
"""Endings of configurations, tokenizers, processors and indexes."""
LARGEST, DEPTH, MOST = 64 << 20, 2, 400
"""Bytes of a small file; folders that it lies in; how many there may be."""
STEMS = ("model", "diffusion_pytorch_model")
"""What transformers and diffusers call weights in one file."""
INDEX = ".safetensors.index."
VARIANT = re.compile(rf"(?:{'|'.join(STEMS)})\.[\w-]+\.safetensors")
SIDE_BY_SIDE = 8
WEIGHTS = (".safetensors", ".gguf")


def snapshot(source: str) -> Path:
    """The folder behind a name on the hub, with its small files fetched; of a path inside, that folder or file's place.
    HubError in words. Offline, what the cache holds."""
    hub = parse(source)
    if hub is None:
        raise Unknown(f"'{source}' is no name on the hub. Write it as owner/name, or owner/name@revision.")
    listing = resolve(hub)
    home = snapshot_folder(listing.hub)
    wanted = [file for file in listing.files.values() if _small(file, hub.path) and not (home / file.name).exists()]
    if wanted and not offline():
        check_room(storage(listing.hub), sum(file.size for file in wanted), f"'{listing.hub}'")
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="hub-fetch") as pool:
            list(pool.map(lambda file: fetch(listing, file.name), wanted[:MOST]))
    with kept_for(hub):
        home.mkdir(parents=True, exist_ok=True)
    return home / hub.path if hub.path else home


def trusted_code(home: Path) -> None:
    """Fetches the Python files of the commit behind a folder as well, and holds all of them against the hashes of the
    commit: only for one that the registry trusts."""
    listing = behind(home)
    if listing is None:
        raise Unknown(f"'{home}' is no snapshot of a commit on the hub, so nothing says what its programs are.")
    for name, file in listing.files.items():
        if name.endswith(".py"):
            digest = file.digest()
            digest.update(fetch(listing, name).read_bytes())
            if file.unnamed:
                raise HubError(f"Nobody names a hash of '{name}' in '{listing.hub}': nothing says that it is its code.")
            if digest.hexdigest() != file.key:
                raise HubError(f"'{home / name}' is not the file of its commit. Delete it and run again.")


def _small(file: File, inside: str) -> bool:
    path = PurePosixPath(file.name)
    below = path.relative_to(inside) if inside and path.is_relative_to(inside) else path
    return path.suffix in SMALL and file.size <= LARGEST and len(below.parts) <= DEPTH + 1


def behind(home: Path) -> Listing | None:
    """The listing of the commit whose folder this is (or lies in); None for any other folder, also for one that was
    fetched by another tool and never listed. Asks nobody."""
    home = home.absolute()
    for folder in (home, *home.parents):
        if folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name):
            kind, _, name = folder.parent.parent.name.partition("s--")
            if kind in ("model", "dataset"):
                hub = HubId(name.replace("--", "/"), folder.name, "", "dataset" if kind == "dataset" else "model")
                return on_disk(hub) if snapshot_folder(hub) == folder else None
    return None


def place(home: Path, name: str) -> str:
    """The path of a file below `home` if it is there; else its address on the hub. HubError where it is nowhere."""
    if (home / name).exists():
        return str(home / name)
    listing = behind(home)
    inner = name if listing is None else (home / name).relative_to(snapshot_folder(listing.hub)).as_posix()
    if listing is None or inner not in listing.files:
        raise HubError(f"'{home}' has no file '{name}', and no repository on the hub is behind it.")
    return str(Address.of(listing.hub, inner))


def weights(home: Path) -> list[str]:
    """Names of the weight files of a commit directly below `home` (its own folder or one in it): the one file, what an
    index lists, one variant (fp16), else all that are there. [] where nothing on the hub is behind it."""
    listing = behind(home)
    if listing is None:
        return []
    inner = home.absolute().relative_to(snapshot_folder(listing.hub)).as_posix()
    start = "" if inner == "." else f"{inner}/"
    here = sorted(name.removeprefix(start) for name in listing.files if name.startswith(start))
    direct = [name for name in here if "/" not in name and name.endswith(WEIGHTS)]
    for name in (f"{stem}.safetensors" for stem in STEMS):
        if name in direct:
            return [name]
    indexes = sorted((name for name in here if "/" not in name and INDEX in name), key=lambda name: (len(name), name))
    if indexes:
        return _indexed(home / indexes[0])
    variants = [name for name in direct if VARIANT.fullmatch(name)]
    return variants[:1] if len(variants) > 1 else direct


def _indexed(index: Path) -> list[str]:
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise HubError(f"'{index}' is no index of weights ({type(error).__name__}). Name another revision.") from error
    names = sorted(set(found))
    if wrong := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
        raise HubError(f"'{index}' names {wrong[0]!r}, which is no file of its folder. Do not trust this checkpoint.")
    return names
