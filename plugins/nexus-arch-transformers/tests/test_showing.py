"""What samples show of a checkpoint that sees: nothing, a picture, several, larger ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as hf
from nexus_specs import Checkpoint, Installed, Outside, Sample, as_shown
from nexus_specs.testing import sample
from nexus_torch.hugging_face.inputs import showing
from tokenizers import Tokenizer, models, pre_tokenizers

SHAPE: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = SHAPE | {"hidden_size": 32, "vocab_size": 300, "num_key_value_heads": 1}
FIRST = 257
"""The token that stands for a picture: behind those of bytes."""


def words(*marks: str) -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({"<s>": 0, **{letter: at for at, letter in enumerate(letters, 1)}}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="<s>", pad_token="<s>")
    made.add_special_tokens({"additional_special_tokens": list(marks)})
    return made


def llava(home: Path) -> None:
    vision = hf.CLIPVisionConfig(image_size=28, patch_size=14, hidden_size=16, **SHAPE)
    hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(vision_config=vision, text_config=hf.LlamaConfig(**TEXT), image_token_index=FIRST)
    ).save_pretrained(home)
    side = {"height": 28, "width": 28}
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=side)
    more = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    hf.LlavaProcessor(pictures, words("<image>"), **more).save_pretrained(home)


def grids(home: Path) -> None:
    """A Qwen2-VL: pictures of any size."""
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2}
    hf.Qwen2VLForConditionalGeneration(hf.Qwen2VLConfig(
        text_config=TEXT | {"rope_parameters": rope}, vision_config=vision,
        **{name: FIRST + at for at, name in enumerate(names)},
    )).save_pretrained(home)  # fmt: skip
    hf.Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 64).save_pretrained(home)
    words("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>").save_pretrained(home)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def open_(write: Any) -> Checkpoint:
        home = tmp_path_factory.mktemp(write.__name__)
        write(home)
        return Installed().open(str(home))  # type: ignore[no-any-return]

    return open_


def picture(height: int, width: int, **more: Any) -> Sample:
    return sample(text="a", image=np.full((height, width, 3), height, np.uint8), **more)


def test_texts_alone_come_to_no_tower(opened: Any) -> None:
    for write in (llava, grids):
        checkpoint = opened(write)
        told = as_shown(checkpoint.blueprint, checkpoint, [sample(text="a"), sample(text="b")])
        assert checkpoint.blueprint.seen
        assert checkpoint.blueprint.places
        assert (told.seen, told.places) == (0, 0)
        (tower,) = told.unmet
        assert [stack.path for stack in checkpoint.blueprint.stacks if stack.sees] == [tower]
        assert "vis" in tower
        assert not as_shown(checkpoint.blueprint, checkpoint, [sample(text="a"), picture(28, 28)]).unmet


def test_nor_to_what_joins_it_to_the_text(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Qwen2-VL's merger of 33 MB was counted as a table that every text runs."""
    monkeypatch.setattr(showing, "LEAST", 1)
    checkpoint: Any = opened(grids)
    merger, head = (Outside(path=path, parameters=1) for path in ("model.visual.merger.mlp.0", "lm_head"))
    checkpoint.__dict__["described"] = replace(checkpoint.blueprint, outside=(merger, head))
    assert merger.path in checkpoint.shown([sample(text="a")]).unmet
    assert head.path not in checkpoint.shown([sample(text="a")]).unmet


def test_pictures_count_as_large_as_they_become(opened: Any) -> None:
    checkpoint = opened(grids)
    (width,) = {max(stack.widths) for stack in checkpoint.blueprint.stacks if "visual" in stack.path}
    small, large = picture(56, 56), picture(112, 168)
    for given, patches in (([small], 16), ([small, large], 96)):
        told = as_shown(checkpoint.blueprint, checkpoint, given)
        assert (told.seen, told.places) == (patches * width, patches // 4)


def test_several_pictures_of_a_sample_count_together(opened: Any) -> None:
    checkpoint = opened(llava)
    one, two = (np.full((28, 28, 3), each, np.uint8) for each in (1, 2))
    told = [as_shown(checkpoint.blueprint, checkpoint, [sample(text="a", image=each)]) for each in (one, [one, two])]
    assert [each.places for each in told] == [4, 8]
    assert told[1].seen == 2 * told[0].seen == 2 * 4 * 16
