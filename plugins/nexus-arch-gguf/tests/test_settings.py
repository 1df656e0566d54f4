"""Settings that the tiny models leave at their defaults, and metadata that a file lacks: what it says is followed, by
its other metadata or its tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf_files import writing
from gguf_files.metadata import metadata
from gguf_files.reading import loaded, outputs
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import write
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import NexusError

CHANGES = (
    ("bamba", {"mamba_n_groups": 2}), ("bamba", {"mamba_proj_bias": True}),
    ("chameleon", {"swin_norm": True}),
    ("ernie4_5_moe", {"moe_layer_interval": 2}),
    ("falcon_h1", {"projectors_bias": True}),
    ("gemma4", {"attention_k_eq_v": True}),
    ("glm4_moe", {"first_k_dense_replace": 0}),
    ("hy_v3", {"num_shared_experts": 2}),
    ("jamba", {"mamba_proj_bias": True, "mamba_conv_bias": False}),
    ("llama4", {"moe_layers": [2, 3]}),
    ("mamba", {"use_bias": True}), ("falcon_mamba", {"use_bias": True, "use_conv_bias": False}),
    ("mamba2", {"n_groups": 2, "use_bias": True}),
    ("modernbert", {"norm_bias": True}),
    ("nemotron_h_moe", {"n_groups": 2}),
    ("qwen2_moe", {"qkv_bias": False}),
    ("seed_oss", {"attention_out_bias": True}),
)  # fmt: skip


@pytest.mark.parametrize(("row", "more"), CHANGES, ids=lambda each: each if isinstance(each, str) else "-".join(each))
def test_the_setting_is_followed(row: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Released models have them: Nemotron-H has 8 groups, Codestral Mamba too."""
    expected = model_of(row, **more)
    module, _ = loaded(Gguf()._checkpoint(str(write(row, expected, tmp_path / "a.gguf"))))
    assert float((outputs(module) - outputs(expected)).abs().max()) <= 1e-6


LEFT_OUT = (("gemma2", "attention.key_length"), ("gemma3", "attention.key_length"),
            ("qwen2_vl", "rope.dimension_sections"), ("hunyuan_vl", "rope.dimension_sections"))  # fmt: skip


@pytest.mark.parametrize(("row", "key"), LEFT_OUT)
def test_what_the_tensors_say_need_not_be_said(row: str, key: str, tmp_path: Path) -> None:
    expected = model_of(row)
    module, _ = loaded(Gguf()._checkpoint(without(row, key, tmp_path / "a.gguf")))
    assert float((outputs(module) - outputs(expected)).abs().max()) <= 1e-6


@pytest.mark.parametrize("row", ["bloom", "gpt_neox", "mpt"])
def test_without_a_number_of_heads_there_is_no_model(row: str, tmp_path: Path) -> None:
    """A class has a default that divides some widths: nothing would fail."""
    with pytest.raises(NexusError, match=r"lacks the metadata '.*head_count'"):
        Gguf()._checkpoint(without(row, "attention.head_count", tmp_path / "a.gguf"))


def without(row: str, key: str, path: Path) -> str:
    """The file of a row without a metadata key."""
    kept = {name: value for name, value in metadata(MODELS[row][0], row, model_of(row).config.get_text_config()).items()
            if name != key}  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "metadata", lambda *_: kept)
        return str(write(row, model_of(row), path))
