"""The store: atomic writes, artefacts with hashes; and the run directory: its lock, its workers, what runs made there,
what is published of it."""

from .answers import Answers
from .artefacts import Artefact, Store, damage, read, verified
from .atomic import read_json, remove, replacing, sweep, write_bytes, write_json
from .hashes import Remembered, file_hash, text_hash
from .lock import Busy, Lock, alive, held

__all__ = [
    "Answers",
    "Artefact",
    "Busy",
    "Lock",
    "Remembered",
    "Store",
    "alive",
    "damage",
    "file_hash",
    "held",
    "read",
    "read_json",
    "remove",
    "replacing",
    "sweep",
    "text_hash",
    "verified",
    "write_bytes",
    "write_json",
]
