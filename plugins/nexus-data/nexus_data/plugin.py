"""What this plugin offers: readers of files, folders and data sets of the hub, and a catalogue of these."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import DatasetComponent, ReaderComponent, hookimpl

from .endings import with_packed

_KINDS = (
    ("parquet", "tables:Parquet", "TableOptions", "Rows of parquet files; images and audio as bytes", (".parquet",)),
    ("arrow", "arrows:Arrow", "TableOptions", "Rows of Arrow files, as `datasets` saves them to disk",
     (".arrow", ".feather")),
    ("jsonl", "tables:Jsonl", "TableOptions", "One JSON object a line", with_packed(".jsonl", ".ndjson")),
    ("json", "objects:Json", "TableOptions", "A list of JSON objects", with_packed(".json")),
    ("csv", "tables:Csv", "TableOptions", "Rows of CSV files with a header", with_packed(".csv", ".tsv")),
    ("text", "texts:Text", "TextOptions", "Text files, cut into windows at line ends", (*with_packed(".txt"), ".md")),
    ("images", "media:Images", "MediaOptions", "A folder of images", (".png", ".jpg", ".jpeg", ".webp", ".bmp")),
    ("audio", "media:Audio", "MediaOptions", "A folder of sound files",
     (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".opus")),
    ("video", "media:Video", "MediaOptions", "A folder of video files", (".mp4", ".mkv", ".webm", ".avi", ".mov")),
)  # fmt: skip


@hookimpl
def nexus_readers() -> Iterable[ReaderComponent]:
    """Tables, text, folders of media, and data sets of the hub."""
    for name, target, options, summary, suffixes in _KINDS:
        yield ReaderComponent(
            name=name,
            target=f"nexus_data.{target}",
            summary=summary,
            options=f"nexus_data.options:{options}",
            suffixes=suffixes,
        )
    yield ReaderComponent(
        name="hub",
        target="nexus_data.hub.reader:Hub",
        summary="A data set of the Hugging Face hub, fetched when it is first read",
        options="nexus_data.options:HubOptions",
        requires=("datasets>=4", "huggingface-hub>=1"),
    )


@hookimpl
def nexus_datasets() -> Iterable[DatasetComponent]:
    """Known data sets of the hub."""
    yield DatasetComponent(
        name="hub",
        target="nexus_data.hub.catalogue:rows",
        summary="Benchmarks and sets to transfer on, of the Hugging Face hub",
    )
