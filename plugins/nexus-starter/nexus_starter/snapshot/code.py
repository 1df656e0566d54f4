"""Code: files of CPython's standard library, each wholly in one part.

The transfer part is text that the teacher never saw, 38 % as much as it did see: on text that it knows by heart a
teacher says little more than the text itself (0.82 bits per byte there, 1.4 on new text).
"""

from __future__ import annotations

import random
from pathlib import Path

Documents = dict[str, str]

# Tests repeat what they test; the rest are tables, programs of their own or copies of other text.
LEFT_OUT = {
    "test", "tests", "idle_test", "site-packages", "idlelib", "lib2to3", "encodings", "ensurepip",
    "pydoc_data", "turtledemo", "tkinter", "__phello__", "entities.py", "pickletools.py", "locale.py",
}  # fmt: skip
SMALLEST, LARGEST = 1_500, 128_000  # bytes of a file
SIZES = {"held_out": 96_000, "development": 56_000, "teacher": 2_620_000, "train": 1_000_000}


def parts(stdlib: Path, seed: int = 1) -> dict[str, Documents]:
    """Held-out, development, transfer and teacher parts, filled in this order from the shuffled files."""
    files = [path for path in sorted(stdlib.rglob("*.py")) if eligible(path, stdlib)]
    random.Random(seed).shuffle(files)  # noqa: S311 - no secret
    cut: dict[str, Documents] = {part: {} for part in SIZES}
    room = dict(SIZES)
    for path in files:
        size = path.stat().st_size
        part = next((part for part, left in room.items() if size <= min(left, SIZES[part] // 3)), None)
        if part:
            room[part] -= size
            cut[part][path.relative_to(stdlib).as_posix()] = path.read_text(encoding="utf-8")
    return cut


def eligible(path: Path, stdlib: Path) -> bool:
    """Whether a file is code that stands for the library."""
    inside = path.relative_to(stdlib).parts
    named = not LEFT_OUT.intersection(inside) and not path.name.startswith("_sysconfigdata")
    return named and SMALLEST <= path.stat().st_size <= LARGEST
