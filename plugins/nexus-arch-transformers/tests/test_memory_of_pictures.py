"""What a forward over a picture holds, by the model's own forward on the meta device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_engine_sli.calling import narrowed
from nexus_specs import Budget, Checkpoint, Installed, Sample, as_shown
from nexus_specs.testing import sample
from nexus_torch.hugging_face.inputs import rehearsing, showing
from nexus_torch.hugging_face.inputs.alive import Following, Fused
from nexus_torch.hugging_face.inputs.holding import NOTHING, held, making
from torch import nn

WIDTH, WIDE, PATCHES = 64, 256, 16 + 1
SHAPE: dict[str, Any] = {
    "hidden_size": WIDTH, "intermediate_size": WIDE, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 56, "patch_size": 14,
}  # fmt: skip


def seen(side: int) -> Sample:
    return sample(image=np.zeros((side, side, 3), np.uint8))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    home = tmp_path_factory.mktemp("vit")
    hf.ViTForImageClassification(hf.ViTConfig(**SHAPE)).save_pretrained(home)
    hf.ViTImageProcessorPil(size={"height": 56, "width": 56}).save_pretrained(home)
    return Installed().open(str(home))  # type: ignore[no-any-return]


def test_a_tower_holds_what_its_mlp_makes(vit: Any) -> None:
    (stack,) = vit.blueprint.stacks
    found = held(vit.bare(), vit.collate([seen(56)]), {stack.path: stack.layers}).most
    numbers = PATCHES * (2 * WIDE + 4 * WIDTH)              # before and behind the activation; states around it
    assert found[stack.path] == (2 * numbers, 4 * numbers)
    assert 0 < found[""][0] < found[stack.path][0]
    two = held(vit.bare(), vit.collate([seen(56), seen(28)]), {stack.path: stack.layers}).most
    assert two[stack.path] == (4 * numbers, 8 * numbers)


def test_stages_that_grow_narrower_are_told_by_themselves() -> None:
    with torch.device("meta"):
        module = hf.SwinModel(hf.SwinConfig(embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 1], window_size=2,
                                            image_size=32, patch_size=2))  # fmt: skip
    layers = [f"encoder.layers.{at}" for at in range(3)]
    found = held(module, {"pixel_values": torch.zeros(1, 3, 32, 32)}, {"encoder.layers": layers}).most
    assert set(found) == {"", "encoder.layers", *layers[1:]}
    assert found["encoder.layers"] > found[layers[1]] > found[layers[2]] > (0, 0)


def test_states_and_what_the_model_keeps_beside_them_wait_where_a_layer_begins(vit: Any) -> None:
    (stack,) = vit.blueprint.stacks
    layers = {stack.path: stack.layers}
    states = 2 * PATCHES * WIDTH                            # its embeddings have a name until the last layer
    assert held(vit.bare(), vit.collate([seen(56)]), layers).waits == {stack.path: (2 * states, 4 * states)}


def test_what_numbers_would_tell_does_not_stop_it(vit: Any) -> None:
    """Qwen2-Audio compares how many places and states of a sound there are."""
    bare, (stack,) = vit.bare(), vit.blueprint.stacks
    bare.vit.layernorm.register_forward_hook(
        lambda _, __, output: torch._check_with(ValueError, torch.empty(1) is output, lambda: "unlike")
    )
    assert held(bare, vit.collate([seen(56)]), {stack.path: stack.layers}).most[stack.path] > (0, 0)
    with pytest.raises(ValueError, match="unlike"):
        torch._check_with(ValueError, False, lambda: "unlike")


def test_pictures_are_here_for_what_asks_what_they_show(vit: Any) -> None:
    """An Idefics3 leaves out pictures that only fill a row; a Pixtral brings sizes to where its states are."""
    bare, (stack,) = vit.bare(), vit.blueprint.stacks
    shown = held(vit.bare(), vit.collate([seen(56)]), {stack.path: stack.layers}).most[stack.path]
    bare.register_forward_pre_hook(_empty, with_kwargs=True)
    assert held(bare, vit.collate([seen(56)]), {stack.path: stack.layers}).most[stack.path] == shown


def _empty(_: Any, __: Any, given: dict[str, Any]) -> None:
    there = (given["pixel_values"] == 0.5).sum().item()
    assert torch.as_tensor(torch.tensor([there]), device="meta").tolist() == [0]


def test_modules_beside_layers_are_told_where_they_run(vit: Any) -> None:
    (stack,) = vit.blueprint.stacks
    beside = ["classifier", "vit.embeddings.patch_embeddings.projection"]
    found = held(vit.bare(), vit.collate([seen(56)]), {stack.path: stack.layers}, beside)
    assert found.behind == {"classifier": 1, "vit.embeddings.patch_embeddings.projection": 0}
    assert found.waits[beside[1]] < found.waits[stack.path]


def test_attention_over_what_is_transposed_is_made_whole() -> None:
    """As on a processor, whose kernel takes rows (a DaViT's channels)."""
    flat, most = torch.empty(1, 1, 64, 8, dtype=torch.bfloat16, device="meta"), []
    for each in (flat, flat.transpose(2, 3)):
        with Following(nn.Linear(1, 1, device="meta")) as following, Fused():
            nn.functional.scaled_dot_product_attention(each, each, each)
            most.append(following.most)
    assert most[0] == 512 < most[1]


@pytest.mark.parametrize(
    ("halves", "side", "beside"),
    [(True, 1, (0, 0)), (False, 1, (0, 0)), (True, 3, (256, 512)), (False, 3, (8 * 9 * 16 * 2, 512))],
)
def test_a_convolution_takes_what_its_processor_needs_beside_it(
    halves: bool, side: int, beside: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks; on one without instructions for sixteen bits every place's surroundings (DPT streamed there: 508 MB were
    predicted, and 1088 taken)."""
    monkeypatch.setattr(rehearsing, "halves", lambda: halves)
    module = nn.Sequential(nn.Conv2d(8, 4, side, padding=side // 2, bias=False)).to("meta")
    most = held(module, {"input": torch.zeros(1, 8, 4, 4)}, {}).most[""]
    made = 4 * 4 * 4
    assert most == (2 * made + beside[0], 4 * made + beside[1])


def test_nothing_is_turned_where_channels_stand_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """States of patches that become a picture, and what convolutions make of it (DPT: 3669 MB for 3035)."""
    monkeypatch.setattr(rehearsing, "halves", lambda: True)
    module = nn.Sequential(*(nn.Conv2d(given, 4, 3, padding=1, bias=False) for given in (8, 4))).to("meta")
    states, made = torch.zeros(1, 4 * 4, 8), 4 * 4 * 4
    picture = states.transpose(1, 2).reshape(1, 8, 4, 4)
    assert held(module, {"input": picture}, {}).most[""] == (2 * 2 * made, 2 * 4 * made)
    assert held(module.to("meta"), {"input": picture.contiguous()}, {}).most[""] > (2 * 3 * made, 3 * 4 * made)


def test_what_stands_in_another_order_is_copied_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch convolves by itself; a sound's states behind a norm (Wav2Vec2 streamed: 311 MB for 262)."""
    monkeypatch.setattr(rehearsing, "halves", lambda: False)
    module = nn.Conv1d(8, 4, 3, bias=False, device="meta")
    states = torch.zeros(1, 10, 8).transpose(1, 2)
    turned, plain = (held(module, {"input": each}, {}).most[""] for each in (states, states.contiguous()))
    assert turned == (plain[0] + 2 * states.numel(), plain[1])


def test_what_cannot_run_without_numbers_tells_nothing(vit: Any) -> None:
    bare = vit.bare()
    bare.vit.layernorm.register_forward_hook(lambda _, __, output: output.sum().item())
    assert held(bare, vit.collate([seen(56)]), {}) == NOTHING


def test_states_in_float32_are_as_wide_in_either(tmp_path: Path) -> None:
    """Qwen3-VL turns what attention asks in float32; and places of pictures are counted, which numbers tell."""
    text = {"num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "hidden_size": 32,
            "vocab_size": 300, "num_key_value_heads": 1, "head_dim": 16,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}  # fmt: skip
    vision = {"depth": 3, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
              "patch_size": 16, "deepstack_visual_indexes": [0, 2]}  # fmt: skip
    config = hf.Qwen3VLConfig(text_config=text, vision_config=vision, image_token_id=257)
    with torch.device("meta"):
        module = hf.Qwen3VLForConditionalGeneration(config)
    batch = {
        "input_ids": torch.tensor([[1, 2, *[257] * 16, 3]]), "mm_token_type_ids": torch.tensor([[0, 0, *[1] * 16, 0]]),
        "pixel_values": torch.zeros(64, 1536), "image_grid_thw": torch.tensor([[1, 8, 8]]),
    }  # fmt: skip
    tower = "model.visual.blocks"
    narrow, wide = held(module, batch, {tower: [f"{tower}.{at}" for at in range(3)]}).most[tower]
    assert narrow < wide < 2 * narrow
    less = batch | {"input_ids": torch.tensor([[1, 257, 257, 257, 257, 3]]), "pixel_values": torch.zeros(16, 1536),
                    "mm_token_type_ids": torch.tensor([[0, 1, 1, 1, 1, 0]]),
                    "image_grid_thw": torch.tensor([[1, 4, 4]])}  # fmt: skip
    assert 3 * held(module, less, {tower: [f"{tower}.0"]}).most[tower][0] < narrow


def test_pictures_that_keep_their_size_are_counted(vit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "LEAST", 0)
    told = as_shown(vit.blueprint, vit, [seen(56), seen(280)])
    assert told.given == 3 * 56 * 56 * 4
    assert told.making == making(seen(280), {}) + 2 * told.given
    assert making(seen(280), {}) == 280 * 280 * (4 + 3)
    assert set(told.held) == {"", *(stack.path for stack in told.stacks)}
    engine = Installed().make("engine", "sli")
    for residency in ("resident", "stream"):
        budget = Budget(residency=residency, precision="float32", memory=1 << 40)
        few, many = (engine.estimate(told, 2, 0, budget).memory,
                     engine.estimate(as_shown(vit.blueprint, vit, [seen(2000)]), 2, 0, budget).memory)  # fmt: skip
        assert many > few + 2 * 4 * (2000**2 - 280**2), "all pictures of a batch are decoded together"


def test_what_pictures_become_waits_as_narrow_as_weights(vit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a corpus all of it waits where layers come one by one: in float32 it would be more than the states."""
    batch = narrowed(vit.collate([seen(56)]), torch.bfloat16)
    assert {each.dtype for each in batch.values()} == {torch.bfloat16}
    monkeypatch.setattr(showing, "LEAST", 0)
    told = as_shown(vit.blueprint, vit, [seen(56)])
    engine, budget = Installed().make("engine", "sli"), Budget(residency="stream", precision="float32")
    few, many = (engine.estimate(told, count, 0, budget).memory for count in (8, 108))
    assert many - few > 100 * (told.given + 2 * told.seen * 4)
