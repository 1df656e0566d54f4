"""Checkpoints that lack single weights: those that no forward reads are done without, every other is told at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import sample
from nexus_torch.files import read_tensors
from safetensors.torch import save_file

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def without(folder: Path, *names: str) -> str:
    """Takes weights out of a folder."""
    weights = read_tensors(folder / "model.safetensors")
    assert weights.keys() >= set(names)
    kept = {name: each.clone() for name, each in weights.items() if name not in names}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


class Kept(dict[str, Any]):
    """A sink that keeps what is observed by tap."""

    def put(self, piece: Any) -> None:
        self[piece.tap] = torch.stack(list(piece.values))

    def flush(self) -> None:
        """Nothing is kept back."""


def seen(source: str, samples: list[Sample], tap: str, residency: Any) -> Any:
    """What a tap of the engine gives."""
    found = Kept()
    budget = Budget(memory=1 << 30, residency=residency)
    with Installed().make("engine", "sli").load(Transformers().open(source, Installed()), budget) as teacher:
        teacher.observe(samples, [Tap(path=tap)], found)
    return found[tap]


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 as facebook/wav2vec2-base-960h lies on the hub."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    torch.manual_seed(0)
    config = hf.Wav2Vec2Config(
        vocab_size=32, conv_dim=[8] * 7, num_conv_pos_embedding_groups=2, num_conv_pos_embeddings=4, **SMALL
    )
    hf.Wav2Vec2ForCTC(config).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    without(folder, "wav2vec2.masked_spec_embed")
    return folder


@pytest.mark.parametrize("residency", ["resident", "stream"])
@torch.no_grad()
def test_what_stands_for_hidden_frames_is_not_needed(listener: Path, residency: str) -> None:
    found = Transformers().inspect(str(listener))
    assert not found.weightless
    sound = np.random.default_rng(0).standard_normal(4000).astype("float32")
    heard = seen(str(listener), [sample(audio=sound)], "logits", residency)
    theirs = hf.Wav2Vec2ForCTC.from_pretrained(listener).eval()
    inputs = hf.Wav2Vec2FeatureExtractor()(sound, sampling_rate=16000, return_tensors="pt")
    torch.testing.assert_close(heard, theirs(**inputs).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["lm_head.bias", "wav2vec2.encoder.layers.1.attention.k_proj.bias"])
def test_every_other_weight_is_missing_by_its_name(name: str, listener: Path, tmp_path: Path) -> None:
    """Said by `inspect`, not by a run that has begun."""
    home = tmp_path / "less"
    shutil.copytree(listener, home)
    found = Transformers().inspect(without(home, name))
    assert found.missing[0] == f"weights {name}"
    assert found.weightless


def test_of_many_some_are_named(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    home = tmp_path / "less"
    shutil.copytree(checkpoint_folder("llama"), home)
    gone = [f"model.layers.0.{name}_layernorm.weight" for name in ("input", "post_attention")]
    found = Transformers().inspect(without(home, *gone, "model.norm.weight", "lm_head.weight"))
    assert found.missing[0].endswith(" and 1 more")
    assert found.missing[0].startswith(f"weights {gone[0]}, {gone[1]}, ")


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    """A mixture of experts, each in tensors of its own, as they are published."""
    more = {"num_experts": 4, "moe_intermediate_size": 16, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64}
    torch.manual_seed(0)
    hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**more, **SMALL)).save_pretrained(tmp_path)
    assert not Transformers().inspect(str(tmp_path)).weightless
    return tmp_path


@pytest.mark.parametrize("name", ["experts.1.up_proj", "experts.3.down_proj", "experts.0.gate_proj"])
def test_a_weight_of_one_expert_is_missing_by_its_name(name: str, mixture: Path) -> None:
    lost = f"model.layers.1.mlp.{name}.weight"
    assert Transformers().inspect(without(mixture, lost)).missing[0] == f"weights {lost}"


def test_an_expert_too_many_is_said(mixture: Path) -> None:
    weights = {name: each.clone() for name, each in read_tensors(mixture / "model.safetensors").items()}
    last = {name: each.clone() for name, each in weights.items() if "experts.3" in name}
    more = {name.replace("experts.3", "experts.4"): each for name, each in last.items()}
    save_file(weights | more, mixture / "model.safetensors")
    with pytest.raises(NexusError, match=r"hold 'model\.layers\.\d\.mlp\.experts\.4\..*says that there are 4"):
        Transformers().inspect(str(mixture))


@torch.no_grad()
def test_a_body_does_without_its_pooler(tmp_path: Path, images: list[Sample]) -> None:
    """DINO's ViT: its vector is the mean of the states, and nothing that transformers would make at random."""
    torch.manual_seed(0)
    model = hf.ViTModel(hf.ViTConfig(image_size=8, patch_size=4, **SMALL)).eval()
    model.save_pretrained(tmp_path)
    hf.ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(tmp_path)
    source = without(tmp_path, "pooler.dense.weight", "pooler.dense.bias")
    assert Transformers().inspect(source).missing == ()
    assert Transformers().inspect(source).parameters == sum(
        each.numel() for name, each in model.named_parameters() if not name.startswith("pooler")
    )
    batch = Transformers().open(source, Installed()).collate(images)
    expected = model(**batch).last_hidden_state.mean(1)
    torch.testing.assert_close(seen(source, images, "output", "resident"), expected, rtol=0, atol=1e-5)


def test_what_is_read_all_the_same_is_no_number(tmp_path: Path) -> None:
    """A model that learns by guessing does read what stands for the hidden: it says so, and gives nothing."""
    torch.manual_seed(0)
    config = hf.BeitConfig(image_size=8, patch_size=4, vocab_size=8, use_mask_token=True, **SMALL)
    hf.BeitForMaskedImageModeling(config).save_pretrained(tmp_path)
    hf.BeitImageProcessorPil(size={"height": 8, "width": 8}, do_center_crop=False).save_pretrained(tmp_path)
    source = without(tmp_path, "beit.embeddings.mask_token")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    hidden = sample(image=picture, bool_masked_pos=np.array([True, False, True, False]))
    with pytest.raises(NexusError, match=r"not finite|no finite|not a number"):
        seen(source, [hidden], "output", "resident")


def test_an_index_may_name_both_of_a_tied_pair(tmp_path: Path) -> None:
    """As transformers has it, which reads what the files hold; of any other tensor the folder is not whole."""
    small = {"vocab_size": 64, "num_key_value_heads": 2, **SMALL}
    hf.LlamaForCausalLM(hf.LlamaConfig(tie_word_embeddings=True, **small)).save_pretrained(
        tmp_path, max_shard_size="4KB"
    )
    index = tmp_path / "model.safetensors.index.json"
    said = json.loads(index.read_text())
    places = said["weight_map"]
    said["weight_map"] = places | {"lm_head.weight": places["model.embed_tokens.weight"]}
    index.write_text(json.dumps(said))
    assert Transformers().open(str(tmp_path), Installed()).blueprint.missing == ("tokenizer.json",)
    said["weight_map"] = places | {"model.layers.7.mlp.up_proj.weight": places["model.norm.weight"]}
    index.write_text(json.dumps(said))
    with pytest.raises(NexusError, match=r"lacks the tensor 'model.layers.7.mlp.up_proj.weight'"):
        Transformers().open(str(tmp_path), Installed())
