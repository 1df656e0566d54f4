"""What this plugin offers: readers of files and folders."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import ReaderComponent, hookimpl

_KINDS = (
    ("parquet", "tables:Parquet", "TableOptions", "Rows of parquet files; images and audio as bytes", (".parquet",)),
    ("jsonl", "tables:Jsonl", "TableOptions", "One JSON object a line", (".jsonl", ".ndjson")),
    ("csv", "tables:Csv", "TableOptions", "Rows of CSV files with a header", (".csv", ".tsv")),
    ("text", "texts:Text", "TextOptions", "Text files, cut into windows at line ends", (".txt", ".md")),
    ("images", "media:Images", "MediaOptions", "A folder of images", (".png", ".jpg", ".jpeg", ".webp", ".bmp")),
    ("audio", "media:Audio", "MediaOptions", "A folder of sound files", (".wav", ".flac", ".ogg", ".mp3")),
    ("video", "media:Video", "MediaOptions", "A folder of video files", (".mp4", ".mkv", ".webm", ".avi", ".mov")),
)


@hookimpl
def nexus_readers() -> Iterable[ReaderComponent]:
    """Tables, text, and folders of media."""
    for name, target, options, summary, suffixes in _KINDS:
        yield ReaderComponent(
            name=name,
            target=f"nexus_data.{target}",
            summary=summary,
            options=f"nexus_data.options:{options}",
            suffixes=suffixes,
        )
