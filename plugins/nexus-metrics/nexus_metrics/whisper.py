"""Whisper's own way to make transcripts alike (Radford et al. 2022, appendix C), which transformers has: numbers,
contractions and titles are written one way, hesitations left out. Leaderboards of recognition compare what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from nexus_specs import NexusError, locate

FILE = "normalizer.json"
"""What a Whisper checkpoint holds British spellings in, beside its tokenizer."""


@lru_cache(maxsize=4)
def normaliser(kind: str, spellings: str) -> Callable[[str], str]:
    """A text -> the text that is compared; "english" or "basic". NexusError where it cannot be had."""
    try:
        from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer
    except ImportError as error:
        raise NexusError(
            f"normaliser: {kind} is transformers', which is not installed. Install it, or leave normaliser out."
        ) from error
    made = EnglishTextNormalizer(_spellings(spellings)) if kind == "english" else BasicTextNormalizer()
    return lambda text: str(made(text)).strip()


def _spellings(source: str) -> dict[str, str]:
    """British -> American, of the file that is named, or beside the tokenizer of a checkpoint; {} where none is."""
    if not source:
        return {}
    file = _file(source)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(
            f"spellings: '{source}' has no {FILE} that can be read ({error}). Name a Whisper checkpoint, or leave "
            "spellings out."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise NexusError(f"spellings: {file.name} of '{source}' is no list of words and their spellings.")
    return found


def _file(source: str) -> Path:
    place = locate(source)
    if place.is_dir() or place.is_file():
        return place / FILE if place.is_dir() else place
    from nexus_torch import hub

    if (name := hub.parse(source)) is None:
        raise NexusError(f"spellings: '{source}' is not there. Name a Whisper checkpoint, or its {FILE}.")
    return Path(hub.fetch(hub.resolve(name), FILE))
