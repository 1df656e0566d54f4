"""What is held out to judge by must not be what is learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nexus_specs import NexusError

from .files import hashed, is_file

ADVICE = "A score on what was learned from says nothing. Name other files, or `path` alone: it is divided 80 / 10 / 10"


def check_apart(train: Callable[[], Sequence[tuple[Path, str]]], held_out: Sequence[tuple[Path, str]]) -> None:
    """NexusError where a file is in both parts, or all of what is held out is in the other one by its content. Single
    files that are alike are none: an empty one, or the same black picture, stands in many folders. Where the part to
    learn from is not on this machine, as beside a release, there is nothing to compare."""
    try:
        learned = [(file, name) for file, name in train() if is_file(file)]
    except NexusError:
        return
    judged = [(file, name) for file, name in held_out if is_file(file)]
    places = {file.resolve(): name for file, name in learned}
    if shared := next((file for file, _ in judged if file.resolve() in places), None):
        raise NexusError(f"The file '{shared}' is in both parts, train and held_out. {ADVICE}.")
    sizes = {file.stat().st_size for file, _ in learned}
    if not judged or not all(file.stat().st_size in sizes for file, _ in judged):
        return
    if {hashed(file) for file, _ in judged} <= {hashed(file) for file, _ in learned}:
        raise NexusError(f"The files of the part held_out ('{judged[0][1]}') are those of train, copied. {ADVICE}.")
