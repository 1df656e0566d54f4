"""Code: files of CPython's standard library, each in one part alone.

The transfer part is text that the teacher never saw, 38 % as much as it did see: on text that it knows by heart a
teacher says little more than the text itself (0.82 bits per byte there, 1.4 on new text). It is spread over all files
that are left: one file repeats its own names, so a few windows of many files teach more than all windows of a few.
"""

from __future__ import annotations

import random
from pathlib import Path

from .windows import windows

Documents = dict[str, str]

# Tests repeat what they test; the rest are tables, programs of their own or copies of other text.
LEFT_OUT = {
    "test", "tests", "idle_test", "site-packages", "idlelib", "lib2to3", "encodings", "ensurepip",
    "pydoc_data", "turtledemo", "tkinter", "__phello__", "entities.py", "pickletools.py", "locale.py",
}  # fmt: skip
SMALLEST, LARGEST = 1_500, 128_000  # bytes of a file
SIZES = {"held_out": 96_000, "development": 56_000, "teacher": 2_620_000}
TRANSFER, SHORTEST = 1_000_000, 300  # bytes of the transfer part; characters of a window in it


def parts(stdlib: Path, seed: int = 1) -> dict[str, Documents]:
    """Held-out, development and teacher parts, filled in this order from the shuffled files; "rest" is what is left."""
    files = [path for path in sorted(stdlib.rglob("*.py")) if eligible(path, stdlib)]
    random.Random(seed).shuffle(files)  # noqa: S311 - no secret
    cut: dict[str, Documents] = {part: {} for part in (*SIZES, "rest")}
    room = dict(SIZES)
    for path in files:
        size = path.stat().st_size
        part = next((part for part, left in room.items() if size <= min(left, SIZES[part] // 3)), "rest")
        if part in room:
            room[part] -= size
        cut[part][path.relative_to(stdlib).as_posix()] = path.read_text(encoding="utf-8")
    return cut


def transfer(rest: Documents, seed: int = 3) -> dict[str, list[str]]:
    """Windows of the transfer part by file, drawn from all files that are in no other part."""
    found = [(source, text) for source in sorted(rest) for text in windows(rest[source]) if len(text) > SHORTEST]
    order = list(range(len(found)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    room, kept = TRANSFER, []
    for at in order:
        room -= len(found[at][1].encode())
        if room < 0:
            break
        kept.append(at)
    drawn: dict[str, list[str]] = {}
    for source, text in (found[at] for at in sorted(kept)):
        drawn.setdefault(source, []).append(text)
    return drawn


def eligible(path: Path, stdlib: Path) -> bool:
    """Whether a file is code that stands for the library."""
    inside = path.relative_to(stdlib).parts
    named = not LEFT_OUT.intersection(inside) and not path.name.startswith("_sysconfigdata")
    return named and SMALLEST <= path.stat().st_size <= LARGEST
