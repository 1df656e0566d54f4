"""A field of a tokenizer's, processor's or generation's file that is not what it may be is named, with its file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nexus_specs import Budget, Installed, NexusError, Sample, content_key
from nexus_torch.hugging_face.inputs.fields import check_fields, check_values

Folders = Callable[[str], Path]
CASES: list[tuple[str, str, Any]] = [
    *(("tokenizer_config.json", "auto_map", value) for value in (5, [None], None, "x")),
    *(("tokenizer_config.json", "tokenizer_class", value) for value in ([None], 5, {"a": 1})),
    ("tokenizer_config.json", "pad_token", 5), ("tokenizer_config.json", "padding_side", "up"),
    ("tokenizer_config.json", "added_tokens_decoder", 5),
    ("tokenizer_config.json", "added_tokens_decoder", {"1": None}),
    ("tokenizer_config.json", "chat_template", [None]), ("tokenizer_config.json", "model_max_length", "long"),
    ("tokenizer_config.json", "extra_special_tokens", [None]), ("tokenizer_config.json", "model_input_names", 5),
    ("tokenizer_config.json", "split_special_tokens", "x"), ("special_tokens_map.json", "unk_token", [None]),
    ("special_tokens_map.json", "additional_special_tokens", 5),
    ("generation_config.json", "eos_token_id", ["a"]), ("generation_config.json", "suppress_tokens", 5),
]  # fmt: skip


@pytest.mark.parametrize(("file", "field", "value"), CASES)
def test_the_file_and_the_field_are_named(
    file: str, field: str, value: Any, checkpoint_folder: Folders, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint_folder("llama"), tmp_path / "here")
    place = tmp_path / "here" / file
    before = json.loads(place.read_text()) if place.is_file() else {}
    place.write_text(json.dumps(before | {field: value}))
    sample = Sample(key=content_key({"text": "a b"}), fields={"text": "a b"})
    with pytest.raises(NexusError, match=rf"{file}' says .* for {field}; "):
        answered(str(tmp_path / "here"), sample)


def answered(source: str, sample: Sample) -> None:
    """A tokenizer's and a generation's file are both used."""
    checkpoint = Installed().open(source)
    checkpoint.collate([sample])
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.generate([sample])


@pytest.mark.parametrize(("field", "value"), [("image_mean", [None]), ("size", [None]), ("auto_map", 5),
                                              ("image_processor_type", [None]), ("rescale_factor", "x")])  # fmt: skip
def test_of_what_makes_tensors_of_pictures(field: str, value: Any) -> None:
    with pytest.raises(NexusError, match=rf"'there' says .* for {field}; "):
        check_values("there", "preprocessor_config.json", {field: value})


def test_what_checkpoints_say_is_let_pass(tmp_path: Path) -> None:
    token = {"__type": "AddedToken", "content": "<s>", "lstrip": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({
        "add_bos_token": True, "added_tokens_decoder": {"0": token}, "bos_token": token, "eos_token": "</s>",
        "auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}, "tokenizer_class": "X", "pad_token": None,
        "chat_template": [{"name": "default", "template": "x"}], "model_max_length": 1e30, "padding_side": "left",
        "extra_special_tokens": {"image_token": "<image>"}, "additional_special_tokens": ["a", token],
    }))  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({
        "size": {"shortest_edge": 224}, "crop_size": 224, "image_mean": [0.5, 0.5, 0.5], "image_std": 0.5,
        "do_resize": True, "do_convert_rgb": None, "resample": 3, "auto_map": {"AutoProcessor": "x.Y"},
    }))  # fmt: skip
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2], "pad_token_id": None}))
    check_fields(tmp_path, "tokenizer_config.json", "preprocessor_config.json", "generation_config.json")
