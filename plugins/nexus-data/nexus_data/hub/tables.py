"""Rows of fetched data: parquet as it is, every other format as `datasets` converts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_torch import hub
from nexus_torch.hub.errors import in_words

from ..parquets import parquet


def parquet_rows(file: Path, columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Row after row, a batch in memory at a time; only some columns, where all of these are there."""
    with parquet(file, file.name) as opened:
        names = set(opened.schema_arrow.names)
        chosen = list(columns) if columns and set(columns) <= names else None
        for batch in opened.iter_batches(batch_size=256, columns=chosen):
            yield from batch.to_pylist()


def converted(name: hub.HubId, config: str, split: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a split that is stored as CSV, JSON, text or folders of media: `datasets` fetches it and keeps it as
    tables. Media stay bytes: the reader decodes them. Those that it keeps as files of its own are read from there, and
    from nowhere else: a path is what a stranger wrote."""
    import datasets

    with in_words(name):
        try:
            found = datasets.load_dataset(name.name, config or None, split=split, revision=name.commit)
        except (ValueError, datasets.exceptions.DatasetsError) as error:
            said = " ".join(str(error).split())
            raise NexusError(f"`datasets` cannot read '{name.name}' ({split}): {said}") from error
    media = {
        column: type(kind)(decode=False)
        for column, kind in found.features.items()
        if isinstance(kind, (datasets.Audio, datasets.Image, datasets.Video))
    }
    for column, kind in media.items():
        found = found.cast_column(column, kind)
    for row in found:
        yield {**row, **{column: _bytes(row[column]) for column in media}}


def _bytes(medium: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """{bytes, path} with the bytes, where these lie in a file among what was fetched."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    if medium is None or medium["bytes"] is not None or not medium["path"]:
        return medium
    file = Path(medium["path"]).resolve()
    caches = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, HF_HUB_CACHE)
    if not any(file.is_relative_to(Path(each).resolve()) for each in caches):
        return medium
    return {**medium, "bytes": file.read_bytes()}
