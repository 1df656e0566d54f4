"""Qwen3-TTS: what stands at each position, what it says greedily, its tokenizer, and what is said where it is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nexus_family_qwen3_tts.architecture import Qwen3TTS
from nexus_family_qwen3_tts.talker import NOTHING
from nexus_specs import Budget, Installed, NexusError, Sample

NAMED, DESIGNED, CODEC = "qwen3-tts-custom-voice", "qwen3-tts-voice-design", "qwen3-tts-tokenizer"


def sample(**fields: Any) -> Sample:
    return Sample(key="k", fields=fields)


def test_positions_are_role_tags_text_and_frames(tiny: Callable[[str], Any]) -> None:
    _, _, source, _ = tiny(NAMED)
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    told, words = checkpoint.config.talker_config, checkpoint.preprocessor.tokenizer
    codes = np.arange(8).reshape(2, 4)
    batch = checkpoint.collate([sample(text="Short.", language="English", speaker="Vivian", codes=codes)])
    role = words("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    text = words("Short.", add_special_tokens=False)["input_ids"]
    begin = len(role)
    first = batch["codes"][0, :, 0].tolist()
    tags = [
        told["codec_think_id"],
        told["codec_think_bos_id"],
        30,
        told["codec_think_eos_id"],
        31,
        told["codec_pad_id"],
    ]
    assert first[:begin] == [NOTHING] * begin
    assert first[begin : begin + 6] == tags
    assert first[begin + 6 : -3] == [told["codec_pad_id"]] * (len(text) + 1)
    assert first[-3:] == [told["codec_bos_id"], 0, 4]
    ids = batch["text_ids"][0].tolist()
    assert ids[:begin] == role
    assert ids[begin + 5 : begin + 7] == [checkpoint.config.tts_bos_token_id, text[0]]
    assert ids[-3:] == [checkpoint.config.tts_pad_token_id] * 3
    assert batch["codes"][0, -2:].tolist() == codes.tolist()


def test_an_instruction_stands_before_the_role(tiny: Callable[[str], Any]) -> None:
    _, _, source, _ = tiny(DESIGNED)
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    plain = checkpoint.collate([sample(text="Short.")])["text_ids"]
    told = checkpoint.collate([sample(text="Short.", instruct="Calm.")])["text_ids"]
    before = told.shape[1] - plain.shape[1]
    assert before > 3
    assert torch.equal(told[:, before:], plain)


def test_it_says_what_its_teacher_forced_logits_say(tiny: Callable[[str], Any]) -> None:
    row, _, source, _ = tiny(NAMED)
    asked = dict(row.samples()[0].fields) | {"max_new_tokens": 3}
    asked.pop("codes")
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget()) as teacher:
        (said,) = teacher.generate([sample(**asked)])
        again = sample(**asked, codes=said.numpy())
        batch = checkpoint.collate([again])
        signal = checkpoint.read(teacher.module(**batch), batch)
    assert said.shape == (3, 4)
    frames = (batch["codes"][0] != NOTHING).all(-1)
    before = frames.roll(-1)
    assert signal.outputs["logits"][0, before].argmax(-1).tolist() == said[:, 0].tolist()
    assert signal.outputs["codes"][0, frames].argmax(-1).tolist() == said[:, 1:].tolist()


def test_the_tokenizer_gives_codes_and_sound(tiny: Callable[[str], Any]) -> None:
    row, _, source, reference = tiny(CODEC)
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    assert (checkpoint.blueprint.takes, checkpoint.blueprint.gives) == (("audio",), ("audio",))
    with Installed().make("engine", "sli").load(checkpoint, Budget()) as teacher, torch.no_grad():
        codes = teacher.generate(row.samples())
        batch = checkpoint.collate(row.samples())
        signal = checkpoint.read(teacher.module(**batch), batch)
        expected = reference.encoder.encode(batch["input_values"]).audio_codes[:, :4]
    assert torch.equal(torch.stack(codes), expected.transpose(1, 2))
    assert torch.equal(signal.outputs["codes"], expected.transpose(1, 2))
    assert signal.outputs["output"].abs().max() <= 1


@pytest.mark.parametrize("quantise", ["nf4", "int8"])
def test_the_tokenizer_runs_quantised(quantise: Any, tiny: Callable[[str], Any]) -> None:
    """What makes codes of a sound stays in float32: a narrower one would make others."""
    row, _, source, reference = tiny(CODEC)
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(quantise=quantise)) as teacher, torch.no_grad():
        found = teacher.module(checkpoint.collate(row.samples())["input_values"].bfloat16())
        given = checkpoint.collate(row.samples())["input_values"].bfloat16().float()
        expected = reference.encoder.encode(given).audio_codes[:, :4]
    assert {each.dtype for each in teacher.module.encoder.parameters()} == {torch.float32}
    assert found.audio_values.isfinite().all()
    assert (found.audio_codes == expected).float().mean() > 0.5


def test_what_is_wrong_is_said(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, _, source, _ = tiny(NAMED)
    checkpoint: Any = Qwen3TTS().open(source, Installed())
    with pytest.raises(NexusError, match=r"no speaker 'ada'.*vivian"):
        checkpoint.collate([sample(text="x", speaker="ada")])
    with pytest.raises(NexusError, match=r"whole numbers \[frames, 4\]"):
        checkpoint.collate([sample(text="x", codes=np.zeros((3, 2), dtype=int))])
    with pytest.raises(NexusError, match="takes text"):
        checkpoint.collate([sample(audio=np.zeros(4))])
    shutil.copytree(source, tmp_path / "bad")
    config = json.loads((tmp_path / "bad" / "config.json").read_text())
    del config["talker_config"]["text_hidden_size"]
    (tmp_path / "bad" / "config.json").write_text(json.dumps(config))
    with pytest.raises(NexusError, match="lacks text_hidden_size"):
        Qwen3TTS().inspect(str(tmp_path / "bad"))
    for change in ({"talker_config": [1]}, {"talker_config": {"num_hidden_layers": 10**9}}, {"tts_pad_token_id": None}):
        (tmp_path / "bad" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(NexusError):
            Qwen3TTS().inspect(str(tmp_path / "bad"))
    assert Qwen3TTS().match(str(tmp_path)) == 0
    with pytest.raises(NexusError, match=r"is 9999; this checkpoint has codes below"):
        checkpoint.collate([sample(text="x", codes=np.full((3, 4), 9999))])


@pytest.mark.parametrize(
    ("name", "value"),
    [("codec_think_bos_id", None), ("codec_pad_id", 10**9), ("codec_bos_id", -1), ("codec_think_eos_id", "x"),
     ("codec_language_id", [1]), ("codec_language_id", {"english": 1e30}), ("spk_id", {"vivian": None})],
)  # fmt: skip
def test_a_token_without_a_row_is_named(name: str, value: Any, tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, _, source, _ = tiny(NAMED)
    shutil.copytree(source, tmp_path / "bad")
    config = json.loads((tmp_path / "bad" / "config.json").read_text())
    config["talker_config"][name] = value
    (tmp_path / "bad" / "config.json").write_text(json.dumps(config))
    with pytest.raises(NexusError, match=rf"config\.json': talker_config\.{name}"):
        Qwen3TTS().inspect(str(tmp_path / "bad"))


@pytest.mark.parametrize("change", [{"architectures": 3}, {"architectures": float("nan")}, {"architectures": True}])
def test_classes_that_are_no_list_are_said(change: Any, tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, _, source, _ = tiny(NAMED)
    shutil.copytree(source, tmp_path / "bad")
    config = json.loads((tmp_path / "bad" / "config.json").read_text())
    (tmp_path / "bad" / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(NexusError, match="`architectures`, which is a list of class names"):
        Qwen3TTS().inspect(str(tmp_path / "bad"))


def test_claims_and_catalogue_leave_torch_out() -> None:
    code = (
        "import sys; from nexus_family_qwen3_tts.architecture import Qwen3TTS as A; A().match('.');"
        "from nexus_family_qwen3_tts.catalogue import rows; assert len(rows()) == 2;"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
