"""Arrow files: what `datasets` saves to disk, and Feather."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nexus_data.plugin as plugin
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from nexus_data.arrows import Arrow
from nexus_specs import Installed, NexusError, reader_for
from nexus_specs.testing import ReaderTests
from PIL import Image

datasets = pytest.importorskip("datasets")
SPLITS = ("train", "development", "held_out")


def read(**options: Any) -> list[dict[str, Any]]:
    return [dict(each.fields) for split in SPLITS for each in Arrow(**options).samples(split)]


def saved(folder: Path, word: str = "row") -> Path:
    labels = datasets.ClassLabel(names=["low", "high"])
    features = datasets.Features({"text": datasets.Value("string"), "label": labels})
    rows = {"text": [f"{word} {at}" for at in range(90)], "label": [at % 2 for at in range(90)]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(folder), num_shards=3)
    return folder


class TestArrow(ReaderTests):
    plugin = plugin
    name = "arrow"

    def component(self) -> Arrow:
        return Arrow(path=str(saved(self.folder / "one")))

    def changed(self) -> Arrow:
        return Arrow(path=str(saved(self.folder / "other", "other row")))


def test_what_was_worked_out_of_a_saved_set_is_none_of_its_rows(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set")
    datasets.load_from_disk(str(folder)).map(lambda row: {"text": row["text"].upper()})
    assert list(folder.glob("cache-*.arrow"))
    found = read(path=str(folder))
    assert {each["text"] for each in found} == {f"row {at}" for at in range(90)}
    assert {each["label"] for each in found} == {0, 1}
    assert reader_for(str(folder), Installed()) == "arrow"


def test_parts_are_the_folders_of_several_splits(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"]})
    datasets.DatasetDict(train=rows.select([0, 1]), test=rows.select([2])).save_to_disk(str(tmp_path))
    reader = Arrow(parts={"train": str(tmp_path / "train"), "held_out": str(tmp_path / "test")})
    assert [each.fields["text"] for each in reader.samples("train")] == ["a", "b"]
    assert [each.fields["text"] for each in reader.samples("held_out")] == ["c"]


def test_pictures_are_bytes_or_paths_and_feather_is_read(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((4, 4, 3), 7, np.uint8))
    picture.save(tmp_path / "a.png")
    datasets.Dataset.from_dict({"image": [picture]}, features=datasets.Features({"image": datasets.Image()})
                               ).save_to_disk(str(tmp_path / "set"))  # fmt: skip
    assert not list(Arrow(path=str(tmp_path / "set")).behind("train"))
    pyarrow.feather.write_feather(pa.table({"image": ["a.png"]}), tmp_path / "b.feather")
    assert [name for _, name in Arrow(path=str(tmp_path / "b.feather")).behind("train")] == ["a.png"]
    for place in ("set", "b.feather"):
        assert [each["image"].shape for each in read(path=str(tmp_path / place))] == [(4, 4, 3)]


@pytest.mark.parametrize("damage", [lambda all: all[: len(all) // 2], lambda all: b"junk" * 9, lambda all: b""])
def test_a_damaged_one_is_named(tmp_path: Path, damage: Any) -> None:
    folder = saved(tmp_path / "set")
    file = sorted(folder.glob("*.arrow"))[0]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(NexusError, match=r"data-00000.* is no Arrow file"):
        read(path=str(folder))
    (folder / "state.json").write_text("{}")
    with pytest.raises(NexusError, match=r"state\.json"):
        read(path=str(folder))
