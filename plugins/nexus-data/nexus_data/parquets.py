"""Parquet files, opened: what pyarrow says about a damaged one in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nexus_specs import NexusError


@contextmanager
def parquet(file: Path, name: str) -> Iterator[Any]:
    """The file as pyarrow's ParquetFile. NexusError where it, or what is read of it here, is damaged."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())
        raise NexusError(f"{name} is no parquet file that can be read ({said}). Write or fetch it again.") from error
