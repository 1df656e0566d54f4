"""The frozen data: disjoint parts, shares of labels, sizes."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from nexus_starter.places import DATA, ROOT, table

PARTS = ("teacher", "train", "development", "held_out")
STORED = ("prose", "code", "digits")
LIMIT = 12_000_000


def sources(capability: str, part: str) -> set[str]:
    return set(pq.read_table(table(capability, part), columns=["source"]).column("source").to_pylist())


def texts(capability: str, part: str) -> list[str]:
    return pq.read_table(table(capability, part), columns=["text"]).column("text").to_pylist()


def long_lines(found: list[str]) -> set[str]:
    return {line.strip() for text in found for line in text.splitlines() if len(line.strip()) > 60}


def size(found: list[str]) -> int:
    return sum(len(text.encode()) for text in found)


@pytest.mark.parametrize("capability", STORED)
def test_no_source_stands_in_two_parts(capability: str) -> None:
    seen = [sources(capability, part) for part in PARTS]
    assert len(set().union(*seen)) == sum(map(len, seen))


def test_digits_images_are_all_there_once() -> None:
    images = [image["bytes"] for part in PARTS for image in column("digits", part, "image")]
    assert len(images) == 1797


def column(capability: str, part: str, name: str) -> list[object]:
    return pq.read_table(table(capability, part), columns=[name]).column(name).to_pylist()


def test_prose_held_out_sentences_were_seen_by_nobody() -> None:
    seen = long_lines(texts("prose", "train") + texts("prose", "teacher"))
    unseen = long_lines(texts("prose", "held_out") + texts("prose", "development"))
    shared = seen & unseen
    assert len(shared) <= 0.01 * len(unseen), shared


@pytest.mark.parametrize(("capability", "most"), [("prose", 0.9), ("code", 0.4)])
def test_the_student_sees_less_than_its_teacher(capability: str, most: float) -> None:
    transfer, alone = size(texts(capability, "train")), size(texts(capability, "teacher"))
    assert transfer <= most * (transfer + alone)


@pytest.mark.parametrize("capability", ["prose", "code"])
def test_windows_are_short_and_enough_are_held_out(capability: str) -> None:
    assert all(0 < len(text.encode()) <= 1024 for part in PARTS for text in texts(capability, part))
    assert size(texts(capability, "held_out")) >= 60_000
    assert size(texts(capability, "development")) >= 40_000


def test_a_tenth_of_the_transfer_digits_is_labelled_evenly() -> None:
    labels = column("digits", "train", "label")
    known = [label for label in labels if label is not None]
    assert len(known) == pytest.approx(0.1 * len(labels), abs=3)
    assert {known.count(digit) for digit in range(10)} <= {7, 8, 9}
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"{len(labels)} images, {len(known)} labelled" in readme


@pytest.mark.parametrize(("part", "least"), [("development", 300), ("held_out", 450)])
def test_every_judged_digit_is_labelled(part: str, least: int) -> None:
    labels = column("digits", part, "label")
    assert len(labels) >= least
    assert None not in labels


def test_the_plugin_is_small() -> None:
    shipped = [path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in shipped) <= LIMIT


def test_licences_are_named_for_every_folder_of_data() -> None:
    words = (Path(__file__).parents[1] / "DATA_LICENCES.md").read_text(encoding="utf-8")
    assert all(folder.name in words for folder in DATA.iterdir())
