"""The folder of an extraction that is not over: `.NAME.part` beside NAME. The same command goes on in it; another one
begins again."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nexus_specs import Budget, Checkpoint, NexusError, locate
from nexus_torch.files import file_hash, write_json

REQUEST, LOCK, FETCHED = "request.json", "lock", Path("scratch", "fetch")
PINNED = ("micro_batch", "precision", "quantise", "device", "threads", "memory")
"""Of the budget: what decides the bits, and stays as it was when the work began; the memory too, by which a large head
is divided, unless another one is named."""
READ_TOO = frozenset({".json", ".jinja", ".model", ".py", ".tiktoken", ".txt", ".yaml"})
"""Endings of the files beside weights that decide what a checkpoint computes."""
LIBRARIES = ("torch", "transformers", "diffusers")
"""Of other versions other bits may come."""


class Unlike(NexusError):
    """What is asked now cannot go on with what was recorded; it says itself what to do, and nothing is touched."""


class Unfinished:
    """One such folder, held by one process at a time."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out.with_name(f".{out.name}.part")
        self.begun = False
        """Whether something may have been recorded since."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """NexusError where another process works in it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            said = f"--out {self.out}: nothing can be written there ({error.strerror}). Choose another folder."
            raise NexusError(said) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                said = f"--out {self.out}: another process is writing it. Wait for it, or choose another folder."
                raise NexusError(said) from error
            yield
        finally:
            os.close(lock)

    def take_up(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The pinned part of the budget, if the folder holds work for what is asked; else {}, and it is empty."""
        known = self._known()
        same = {name: known.get(name) for name in asked if name != "files"} == {
            name: value for name, value in asked.items() if name != "files"
        }
        if same and known.get("files") in (None, asked["files"]):
            return dict(known.get("pinned", {}))
        if known:
            said = "its files changed" if same else _other(known, asked)
            print(f"What '{self.folder.name}' holds is of no use: {said}. It begins again.", file=sys.stderr)
        for path in self.folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {}

    def begin(self, asked: Mapping[str, Any], budget: Budget) -> None:
        """Notes what this work is for."""
        self.begun = True
        write_json(self.folder / REQUEST, {**asked, "pinned": {name: getattr(budget, name) for name in PINNED}})

    def kept(self, *, mended: bool) -> str:
        """After an error: what to say of what was recorded, or fetched; where nothing was, the folder goes. `mended`:
        files of the checkpoint may be other ones the next time."""
        there = [each for name in ("shards", "scratch") for each in (self.folder / name).rglob("*") if each.is_file()]
        if not there:
            shutil.rmtree(self.folder, ignore_errors=True)
            return ""
        if mended:
            with suppress(OSError):
                write_json(self.folder / REQUEST, {**self._known(), "files": None})
        if all((self.folder / FETCHED) in each.parents for each in there):
            return " What was fetched so far stays: the same command begins with it."
        return " What was recorded so far stays: the same command goes on from there."

    def hand_over(self, files: Sequence[Path]) -> None:
        """The result appears as a whole, at its place."""
        if self.out.exists():
            self.out.rmdir()
        files[0].parent.replace(self.out)
        shutil.rmtree(self.folder)

    def _known(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / REQUEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _other(known: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    if [name for name in asked if name != "files" and known.get(name) != asked[name]] == ["settings"]:
        return "the settings or the tokenizer of the teacher changed, or the libraries that run it"
    return "another teacher, other layers or other data were asked for"


def request(source: str, checkpoint: Checkpoint, taps: Iterable[str], keys: Iterable[str]) -> dict[str, Any]:
    """What is asked: of which weights (by their layout), read how (settings, tokenizer, libraries), which layers, which
    samples; and the weights' files as they are now, by size and time."""
    stored = [
        (each.key, each.file, each.start, each.stop, each.dtype) for part in checkpoint.parts for each in part.extents
    ]
    files = sorted({str(row[1]) for row in stored})
    return {
        "source": source, "weights": _hash(stored), "taps": sorted(taps), "samples": _hash(list(keys)),
        "settings": _hash([*_beside(source, files), *_versions()]),
        "files": {file: [stat.st_size, stat.st_mtime_ns] for file in files if (stat := _stat(file)) is not None},
    }  # fmt: skip


@contextmanager
def told(work: Unfinished) -> Iterator[None]:
    """Errors on the way leave what was recorded, and say that the same command goes on."""
    try:
        yield
    except Unlike:
        raise
    except NexusError as error:
        raise NexusError(f"{error}{work.kept(mended=work.begun)}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        tensors = getattr(error, "tensors", ())
        which = f", with the tensor{'s' * (len(tensors) > 1)} {', '.join(map(repr, tensors))}" if tensors else ""
        file = f" (it was at '{error.filename}'{which})" if error.filename else ""
        said = f"The disk of '{work.folder}' is full. Free some room, or choose another --out{file}."
        raise NexusError(f"{said}{work.kept(mended=False)}") from error


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def _beside(source: str, files: Sequence[str]) -> list[list[str]]:
    """[name, hash] of what lies beside the weights: settings, tokenizer, templates. Of a hub's, which is pinned to a
    commit, nothing; nor of one file (GGUF), which holds its own, and may lie among others that come and go."""
    home = locate(source)
    if not home.exists():
        home = locate(source.partition("#")[0])             # a part of it
    if home.is_file():
        return []
    folders = {home, *(Path(file).parent for file in files)}
    found = {path for folder in folders if folder.is_dir() for path in folder.glob("[!.]*")}     # not our own folder
    found |= {inner for path in found if path.is_dir() for inner in path.glob("[!.]*")}      # of a Diffusers pipeline
    kept = sorted(path for path in found if path.suffix in READ_TOO and path.is_file())
    return [[str(path), file_hash(path)] for path in kept]


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def _stat(file: str) -> os.stat_result | None:
    with suppress(OSError):
        return Path(file).stat()
    return None
