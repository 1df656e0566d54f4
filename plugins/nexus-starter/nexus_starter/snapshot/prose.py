"""Prose: the topics of CPython's language reference, with the docstrings of its library for more to learn from."""

from __future__ import annotations

import ast
import inspect
import random
import runpy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Documents = dict[str, str]
LONG_LINE = 40  # characters; a shorter line may be shared by chance
SECTION = 0.6  # a topic with this share of its text inside a longer one is a section of it
KIN = 200  # topics that share more characters than this stand in one part
GIANT = 30_000  # a group this large would be a part by itself: it belongs to training
HELD_OUT, DEVELOPMENT = 72_000, 44_000  # bytes of topics
DOCSTRINGS = 650_000  # bytes of docstrings in the transfer part; the teacher sees the other half alone


def parts(stdlib: Path, kept_apart: Iterable[str], seed: int = 2) -> dict[str, Documents]:
    """The four parts. `kept_apart` are files whose docstrings no teacher may see (code's held-out ones)."""
    topics = without_sections(runpy.run_path(str(stdlib / "pydoc_data" / "topics.py"))["topics"])
    cut = split(topics, seed)
    cut = {part: {f"topic/{name}": text for name, text in found.items()} for part, found in cut.items()}
    unseen = {line for part in ("development", "held_out") for text in cut[part].values() for line in long_lines(text)}
    apart = set(kept_apart)
    found = [
        (f"docstrings/{name}", text)
        for name, text in docstrings(stdlib)
        if name not in apart and not unseen.intersection(long_lines(text))
    ]
    random.Random(seed).shuffle(found)  # noqa: S311 - no secret
    return cut | shared_out(found, cut["train"])


def shared_out(found: list[tuple[str, str]], transfer: Documents) -> dict[str, Documents]:
    """Shuffled docstrings: first into the transfer part until it has its share, the rest to the teacher alone."""
    cut, room = {"train": dict(transfer), "teacher": {}}, DOCSTRINGS
    for name, text in found:
        part = "train" if room > 0 else "teacher"
        room -= len(text.encode())
        cut[part][name] = text
    return cut


def long_lines(text: str) -> set[str]:
    """The lines that do not recur by chance."""
    return {line.strip() for line in text.splitlines() if len(line.strip()) > LONG_LINE}


def shared(one: str, other: str) -> int:
    """Characters of long lines that two texts have in common."""
    return sum(map(len, long_lines(one) & long_lines(other)))


def without_sections(topics: Mapping[str, str]) -> Documents:
    """The reference repeats sections as topics of their own; a repeated text in two parts would be a leak."""

    def is_section(name: str, text: str) -> bool:
        own = sum(map(len, long_lines(text)))
        longer = (other for key, other in topics.items() if key != name and len(other) > len(text))
        return any(shared(text, other) > SECTION * own for other in longer)

    return {name: text for name, text in sorted(topics.items()) if not is_section(name, text)}


def split(topics: Documents, seed: int) -> dict[str, Documents]:
    """Held-out and development are filled from shuffled groups; what is left, and every giant, is for training."""
    groups = kin(topics)
    random.Random(seed).shuffle(groups)  # noqa: S311 - no secret
    cut: dict[str, Documents] = {"train": {}, "development": {}, "held_out": {}}
    room = {"held_out": HELD_OUT, "development": DEVELOPMENT}
    for group in groups:
        size = sum(len(topics[name].encode()) for name in group)
        part = next((part for part, left in room.items() if size <= min(left, GIANT)), "train")
        if part in room:
            room[part] -= size
        cut[part].update({name: topics[name] for name in group})
    return cut


def kin(topics: Documents) -> list[list[str]]:
    """Topics joined while they share text, so that a part never sees another part's sentences."""
    groups: list[list[str]] = []
    for name, text in topics.items():
        close = [group for group in groups if any(shared(text, topics[other]) > KIN for other in group)]
        groups = [group for group in groups if group not in close] + [[name, *(n for group in close for n in group)]]
    return groups


def docstrings(stdlib: Path) -> Iterator[tuple[str, str]]:
    """Each library file's docstrings as one document, under the file's name."""
    for path in sorted(stdlib.rglob("*.py")):
        name = path.relative_to(stdlib).as_posix()
        if any(part in ("test", "tests", "site-packages", "idle_test", "lib2to3", "encodings") for part in path.parts):
            continue
        found = texts(path.read_text(encoding="utf-8"))
        if sum(map(len, found)) > 1000:
            yield name, "\n\n".join(found) + "\n"


def texts(source: str) -> list[str]:
    """The docstrings of a module, each once; none of a module newer than this interpreter's grammar."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return []
    raw = (ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, kinds))
    by_text = dict.fromkeys(inspect.cleandoc(text) for text in raw if text)
    return [text for text in by_text if len(text) > 80]
