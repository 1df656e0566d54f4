"""Every data set of the catalogue, read from a hub: rows in its columns come out as its fields, part by part."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from nexus_data.hub import catalogue
from nexus_data.hub.columns import Columns
from nexus_data.hub.reader import Hub
from nexus_specs.testing.hub import LocalHub
from PIL import Image

SPLITS = ("train", "development", "held_out")
ROWS = 12


def picture() -> bytes:
    out = BytesIO()
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def sound() -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.zeros(80, np.int16).tobytes())
    return out.getvalue()


def film() -> bytes:
    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 16, 16
        for at in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 40 * at, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def row(columns: Mapping[str, str], at: int, media: Mapping[str, bytes]) -> dict[str, Any]:
    """A row that has what the templates of a card look for."""
    values: dict[str, Any] = {}
    for field, column in columns.items():
        if column.startswith("="):
            continue
        parts = [name for _, name, _, _ in Formatter().parse(column) if name] if "{" in column else [column]
        for name in parts:
            key, _, inner = name.partition("[")
            inner = inner.rstrip("]")
            if inner.isdigit() or (field == "choices" and "{" not in column):
                values[key] = [f"{key} {at} {place}" for place in range(4)]
            elif inner:
                found = values.setdefault(key, {})
                found[inner] = f"{key} {inner} {at}"
            elif field in media:
                values.setdefault(key, {"bytes": media[field], "path": None})
            else:
                values.setdefault(key, at % 3 if field == "label" else f"{key} {at}")
    return values


@pytest.fixture(scope="module")
def media() -> Mapping[str, bytes]:
    return {"image": picture(), "audio": sound(), "video": film()}


@pytest.mark.parametrize("name", list(catalogue.cards()))
def test_it_is_read_from_a_hub(server: LocalHub, tmp_path: Path, media: Mapping[str, bytes], name: str) -> None:
    (card,) = (each for each in catalogue.rows() if each["name"] == name)
    options = card["options"]
    for split in card["splits"]:
        rows = [row(options["columns"], at, media) for at in range(ROWS)]
        place = tmp_path / "set" / (card["config"] or "default") / split / "0000.parquet"
        place.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place)
    server.add(card["id"], tmp_path / "set", kind="dataset")
    reader = Hub(**options)
    parts = {split: list(reader.samples(split)) for split in SPLITS}
    assert sum(map(len, parts.values())) == ROWS * len(card["splits"])
    for samples in parts.values():
        for sample in samples:
            assert set(card["columns"]) <= set(sample.fields)
            assert all(sample.fields[field] not in ("", None) for field in card["columns"] if field not in media)
            if "prompt" in card["columns"] and "answer" in card["columns"]:
                assert str(sample.fields["answer"]) not in str(sample.fields["prompt"])


def test_choices_stand_behind_their_letters() -> None:
    """A model that is to answer with a letter must see which is whose."""
    choices = {"text": ["ice", "fire"], "label": ["A", "B"]}
    found = Columns({"text": "{question}\n{choices}\nAnswer:"}, "x").fields({"question": "Hot?", "choices": choices})
    assert found["text"] == "Hot?\nA. ice\nB. fire\nAnswer:"
    cards = {name: card["columns"] for name, card in catalogue.cards().items()}
    rows = {
        "arc-challenge": {"question": "Hot?", "choices": choices, "answerKey": "B"},
        "hellaswag": {"ctx": "Hot", "endings": ["a", "b", "c", "d"], "label": "1"},
        "mmlu": {"question": "Hot?", "choices": ["a", "b", "c", "d"], "answer": 1},
    }
    for name, each in rows.items():
        assert "\nB. " in Columns(cards[name], name).fields(each)["text"], name
    assert cards["mmmu"]["text"].endswith("Answer with the option's letter from the given choices directly.")
    assert cards["vqav2"]["text"].endswith("Answer the question using a single word or phrase.")


def test_answers_are_as_long_as_their_tasks_ask() -> None:
    """A solution, a program or a paragraph is not cut off where a short answer ends."""
    for name in ("gsm8k", "humaneval", "mbpp", "wmt24pp", "math-500"):
        columns = Columns({"max_new_tokens": catalogue.cards()[name]["columns"]["max_new_tokens"]}, name)
        assert columns.read() == ()
        columns.check(["question"])
        assert int(columns.fields({"question": "?"})["max_new_tokens"]) >= 1024, name


def test_choices_that_a_text_lists_have_letters() -> None:
    """MMMU writes its list as a text; "with the option's letter" means nothing without letters."""
    columns = Columns({"text": "{question}\n{options:letters}"}, "x")
    for options in ("['a dog', \"it's\"]", ["a dog", "it's"]):
        assert columns.fields({"question": "What?", "options": options})["text"] == "What?\nA. a dog\nB. it's"
    assert columns.fields({"question": "How many?", "options": "[]"})["text"] == "How many?"
    assert columns.fields({"question": "How many?", "options": "__import__('os')"})["text"] == "How many?"
    assert "{options:letters}" in str(catalogue.cards()["mmmu"]["columns"])
