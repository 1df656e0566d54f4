"""What is held out must not be what is learned from: the same file, a copy, a folder inside, the same split."""

from pathlib import Path

import pytest
from nexus_data.hub.reader import Hub
from nexus_data.tables import Jsonl
from nexus_specs import NexusError


def written(place: Path, text: str) -> str:
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    return str(place)


def test_a_file_in_both_parts_is_refused(tmp_path: Path) -> None:
    rows, inner = written(tmp_path / "rows.jsonl", '{"text": "one"}\n'), written(tmp_path / "test" / "b.jsonl", "{}\n")
    (tmp_path / "link.jsonl").symlink_to(rows)
    for held_out in (rows, str(tmp_path / "link.jsonl"), inner, str(tmp_path / "test")):
        reader = Jsonl(parts={"train": str(tmp_path), "held_out": held_out})
        with pytest.raises(NexusError, match=r"is in both parts, train and held_out\. A score on what was learned"):
            reader.fingerprint("held_out")
        reader.fingerprint("train")


def test_a_copy_is_refused_and_single_files_that_are_alike_are_not(tmp_path: Path) -> None:
    first, again = (written(tmp_path / name, '{"text": "one"}\n') for name in ("a.jsonl", "b.jsonl"))
    other = written(tmp_path / "c.jsonl", '{"text": "two"}\n')
    with pytest.raises(NexusError, match=r"\('b.jsonl'\) are those of train, copied"):
        Jsonl(parts={"train": [first, other], "held_out": again}).fingerprint("held_out")
    assert Jsonl(parts={"train": first, "held_out": [again, other]}).fingerprint("held_out")


def test_a_part_to_learn_from_that_is_not_here_is_no_hindrance(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", '{"text": "one"}\n')
    assert Jsonl(parts={"train": str(tmp_path / "gone"), "held_out": rows}).fingerprint("held_out")


def test_one_split_of_the_hub_for_both_is_refused() -> None:
    reader = Hub(id="acme/words", splits={"train": "train+more", "held_out": "more"})
    with pytest.raises(NexusError, match=r"splits: 'more' is both train and held_out\. .* leave held_out out here"):
        reader.fingerprint("held_out")
