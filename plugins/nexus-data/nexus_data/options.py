"""Options of the readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_specs import location, neutral, option

PARTS_HELP = "Files of each part: {train: PATH or [PATHS], development: ..., held_out: ...}"
COLUMNS_HELP = "Column of each field (text, label, source, image, audio, video, answer): {text: body}"
SPLITS_HELP = "Split of the hub for each part: {train: train, held_out: test}; a part without one is carved out by hash"
TEMPLATES_HELP = "Column of each field, a template, or =VALUE: {text: '{question} {answer}', max_new_tokens: '=512'}"


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Which files, and what of them. Without `parts`, 80 / 10 / 10 by the hash of the source, else of the sample."""

    path: str = location("", help="A file or folder that is split into parts")
    parts: Mapping[str, Any] = field(default_factory=dict, metadata={"location": True, "help": PARTS_HELP})
    columns: Mapping[str, str] = field(default_factory=dict, metadata={"help": COLUMNS_HELP})
    limit: int = option(0, help="Most samples of a part; 0: all", low=0)
    domain: str = option("", help="Name of the domain that every sample carries")
    malformed: int = neutral(100, help="How many broken rows are reported and left out before reading stops")


@dataclass(frozen=True, kw_only=True)
class TableOptions(FileOptions):
    """Rows of tables."""

    window: int = option(0, help="Longest text in bytes, longer ones are cut at line ends; 0: as they are", low=0)
    rate: int = option(0, help="Samples a second that sound is brought to; 0: as it is", low=0)
    frames: int = option(0, help="Frames of a video, evenly spread; 0: all", low=0)


@dataclass(frozen=True, kw_only=True)
class TextOptions(FileOptions):
    """Text files."""

    window: int = option(1024, help="Longest window in bytes, cut at line ends; 0: whole files", low=0)


@dataclass(frozen=True, kw_only=True)
class MediaOptions(FileOptions):
    """Folders of media: labels from the names of sub-folders, or from an index."""

    index: str = option("", help="File in the folder, one JSON object a line with file, label, text; empty: found")
    rate: int = option(0, help="Samples a second that sound is brought to; 0: as it is", low=0)
    frames: int = option(0, help="Frames of a video, evenly spread; 0: all", low=0)


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """A data set on the Hugging Face hub, or several one after the other."""

    id: str = option("", help="Its name: owner/name, with @revision if not its main branch")
    config: str = option("", help="Which of its configurations; empty: the only one or its default")
    revision: str = option("", help="Branch, tag or commit (of sets: joined by +); a run keeps the one it began with")
    splits: Mapping[str, str] = field(default_factory=dict, metadata={"help": SPLITS_HELP})
    columns: Mapping[str, str] = field(default_factory=dict, metadata={"help": TEMPLATES_HELP})
    sets: tuple[Mapping[str, Any], ...] = field(default=(), metadata={"help": "Several sets: these options for each"})
    limit: int = option(0, help="Most samples of a part; 0: all", low=0)
    domain: str = option("", help="Name of the domain that every sample carries")
    window: int = option(0, help="Longest text in bytes, longer ones are cut at line ends; 0: as they are", low=0)
    rate: int = option(0, help="Samples a second that sound is brought to; 0: as it is", low=0)
    frames: int = option(0, help="Frames of a video, evenly spread; 0: all", low=0)
    malformed: int = neutral(100, help="How many broken rows are reported and left out before reading stops")
