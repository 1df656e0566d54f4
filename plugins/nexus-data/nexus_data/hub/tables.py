"""Rows of fetched data: parquet as it is, every other format as `datasets` converts it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nexus_specs import NexusError
from nexus_torch import hub
from nexus_torch.hub.errors import in_words

from ..opening import opened
from ..parquets import parquet
from .files import Files

ZSTD = ".zst"


def parquet_rows(file: Path, columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Row after row, a batch in memory at a time; only some columns, where all of these are there."""
    with parquet(file, file.name) as opened:
        names = set(opened.schema_arrow.names)
        chosen = list(columns) if columns and set(columns) <= names else None
        for batch in opened.iter_batches(batch_size=256, columns=chosen):
            yield from batch.to_pylist()


def converted(files: Files, config: str, split: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a split that is stored as CSV, JSON, text or folders of media: the files of this split alone are
    fetched, and `datasets` keeps them as tables. Media stay bytes: the reader decodes them. Those that it keeps as
    files of its own are read from there, and from nowhere else: a path is what a stranger wrote."""
    import datasets

    found = _made(files, config, split)
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


def _made(files: Files, config: str, split: str) -> Any:
    """One split as `datasets` makes it of its files, in a cache of its own: what it would make of all splits together
    takes them all to be there."""
    import datasets

    name = files.listing.hub
    aside = Path(datasets.config.HF_DATASETS_CACHE) / "nexus" / name.commit / quote(f"{config or 'default'} {split}")
    with in_words(name):
        try:
            maker = datasets.load_dataset_builder(
                name.name, config or None, revision=name.commit, cache_dir=str(aside)
            )  # fmt: skip
            here = _here(files, split, aside / "unpacked")
            maker.config.data_files = datasets.data_files.DataFilesDict({split: here})
            maker.download_and_prepare(verification_mode="no_checks")  # of counts: the hashes are held at fetching
            return maker.as_dataset(split=split)
        except (ValueError, datasets.exceptions.DatasetsError) as error:
            said = " ".join(f"{error}: {error.__cause__ or ''}".split()).removesuffix(":")[:500]
            raise NexusError(f"`datasets` cannot read '{name.name}' ({split}): {said}") from error


def _here(files: Files, split: str, aside: Path) -> list[str]:
    """The files of a split on this machine, fetched where they are missing; an address elsewhere as it is."""
    listing = files.listing
    return [
        str(_unpacked(hub.fetch(listing, name), name, aside)) if name in listing.files else name
        for name in files.of(split)
    ]


def _unpacked(file: Path, name: str, aside: Path) -> Path:
    """The file; unpacked, where it is packed with zstd, which `datasets` cannot without a package of its own."""
    if not name.endswith(ZSTD):
        return file
    target = aside / name.removesuffix(ZSTD)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        with opened(file, name, lines=False) as packed, part.open("wb") as out:
            shutil.copyfileobj(packed, out)
        part.replace(target)
    return target
