"""Step3-VL: names and layout of its file, its pictures, and what is said where something is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_family_step3_vl.architecture import Step3VL
from nexus_specs import Installed, NexusError, Sample

NAME = "step3-vl-10b"


def test_every_stored_tensor_has_its_place(tiny: Callable[[str], Any]) -> None:
    _, folder, source, _ = tiny(NAME)
    checkpoint: Any = Step3VL().open(source, Installed())
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    held = {extent.key for part in checkpoint.parts for extent in part.extents}
    assert held == set(index["weight_map"])
    assert any("resblocks.2.attn.in_proj_weight" in key for key in held), "its own names"
    assert {stack.path for stack in checkpoint.blueprint.stacks} == {
        "model.vision_model.layers",
        "model.language_model.layers",
    }


def test_a_picture_takes_its_place_in_the_text(tiny: Callable[[str], Any]) -> None:
    row, _, source, _ = tiny(NAME)
    checkpoint: Any = Step3VL().open(source, Installed())
    samples = row.samples()
    batch = checkpoint.collate(samples)
    mark = checkpoint.config.image_token_id
    assert batch["pixel_values"].shape == (2, 3, 56, 56)
    assert (batch["input_ids"] == mark).sum(1).tolist() == [1, 1], "56 / 14 = 4, halved twice, squared"
    assert abs(float(batch["pixel_values"].mean())) < 3, "normalised"
    fields = {"image": samples[0].fields["image"], "text": "no mark"}
    bare = checkpoint.collate([Sample(key="k", fields=fields)])
    assert (bare["input_ids"] == mark).sum() == 1
    words = checkpoint.collate([Sample(key="k", fields={"text": "words alone"})])
    assert set(words) == {"input_ids", "attention_mask"}


def test_what_is_wrong_is_said(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, _, source, _ = tiny(NAME)
    shutil.copytree(source, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"model_type": "step9"}))
    assert Step3VL().match(str(tmp_path / "other")) == 0
    with pytest.raises(NexusError, match="step_robotics"):
        Step3VL().inspect(str(tmp_path / "other"))
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"text_config": {"hidden_size": "wide"}}))
    with pytest.raises(NexusError, match=r"text_config\.hidden_size is 'wide'"):
        Step3VL().inspect(str(tmp_path / "other"))
    checkpoint: Any = Step3VL().open(source, Installed())
    with pytest.raises(NexusError, match="uint8"):
        checkpoint.collate([Sample(key="k", fields={"image": torch.zeros(8, 8, 3).numpy()})])
    with pytest.raises(NexusError, match="uint8"):
        checkpoint.collate([Sample(key="k", fields={"image": torch.zeros(2, 8, 8, 3, dtype=torch.uint8).numpy()})])


def test_claims_and_catalogue_leave_torch_out() -> None:
    code = (
        "import sys; from nexus_family_step3_vl.architecture import Step3VL as A; A().match('.');"
        "from nexus_family_step3_vl.catalogue import rows; assert rows();"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
