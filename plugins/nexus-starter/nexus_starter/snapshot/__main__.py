"""`python -m nexus_starter.snapshot --stdlib DIR`: cut the frozen data again from CPython's library in DIR."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..places import DATA
from . import code, digits, prose
from .windows import windows

TEXT = pa.schema([("text", pa.string()), ("source", pa.string())])
IMAGE = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("source", pa.string()),
    ]
)
LABEL = pa.schema([("source", pa.string()), ("label", pa.int64())])


def main() -> None:
    """Cut and write every part."""
    parser = argparse.ArgumentParser(prog="nexus_starter.snapshot", description=__doc__)
    parser.add_argument("--stdlib", type=Path, required=True, help="Lib folder of CPython 3.13.0")
    stdlib = parser.parse_args().stdlib
    code_parts = code.parts(stdlib)
    unseen = [*code_parts["development"], *code_parts["held_out"]]
    scattered = code.transfer(code_parts.pop("rest"))
    write_text("code", {**cut(code_parts), "train": scattered})
    write_text("prose", cut(prose.parts(stdlib, unseen)))
    images, hidden = digits.parts()
    for part, rows in images.items():
        write(f"digits/{part}", rows, IMAGE)
    write("digits/teacher_labels", hidden, LABEL)


def cut(parts: dict[str, dict[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Every document of every part as its windows, in order."""
    return {
        part: {source: list(windows(text)) for source, text in documents.items()} for part, documents in parts.items()
    }


def write_text(name: str, parts: dict[str, dict[str, list[str]]]) -> None:
    """The windows of each part, by source and in order."""
    for part, documents in parts.items():
        rows = [{"text": text, "source": source} for source in sorted(documents) for text in documents[source]]
        write(f"{name}/{part}", rows, TEXT)


def write(name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """One parquet file, and a line that says how large it is."""
    path = DATA / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, compression="zstd", compression_level=19)
    size = sum(len(row["text"].encode()) for row in rows if "text" in row)
    print(f"{name}: {len(rows)} rows, {size:,} bytes of text, {path.stat().st_size:,} bytes on disk")


if __name__ == "__main__":
    main()
