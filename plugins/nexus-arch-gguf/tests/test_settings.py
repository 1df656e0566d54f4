"""Settings that the tiny models leave at their defaults, and metadata that a file lacks: what it says is followed, by
its other metadata or its tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf_files.reading import loaded, outputs
from gguf_files.tiny import model_of
from gguf_files.writing import write
from nexus_arch_gguf.architecture import Gguf

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
