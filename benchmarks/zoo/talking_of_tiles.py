"""Language models that see pictures of any size, in tiles or grids."""

from __future__ import annotations

from typing import Any

import transformers as hf

from .kind import Made, ids, kind
from .parts import ENDS, square, words
from .samples import patches, picture, written

MARKS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
PLACE = 257
"""The first token behind those of bytes."""
NAMES = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


def _rope(*section: int) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 1e6, "mrope_section": list(section)}


@kind(picture, written)
def qwen2_vl_2b() -> Made:
    """Qwen/Qwen2-VL-2B-Instruct, 6 of 32 layers that see and 4 of 28 that write."""
    tokens = words(*MARKS)
    text = {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 4,
            "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True,
            "rope_parameters": _rope(16, 24, 24), **ENDS}  # fmt: skip
    seen = {"depth": 6, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16}
    marks = ids(tokens, dict(zip(NAMES, MARKS, strict=True)))
    config = hf.Qwen2VLConfig(text_config=text, vision_config=seen, tie_word_embeddings=True, **marks)
    return hf.Qwen2VLForConditionalGeneration(config), hf.Qwen2VLImageProcessorPil(), tokens


@kind(picture, written)
def qwen25_vl_3b() -> Made:
    """Qwen/Qwen2.5-VL-3B-Instruct, 8 of 32 layers that see (one looks at all) and 2 of 36 that write."""
    tokens = words(*MARKS)
    text = {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 2,
            "num_attention_heads": 16, "num_key_value_heads": 2, "tie_word_embeddings": True,
            "rope_parameters": _rope(16, 24, 24), **ENDS}  # fmt: skip
    seen = {"depth": 8, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
            "fullatt_block_indexes": [7]}  # fmt: skip
    marks = ids(tokens, dict(zip(NAMES, MARKS, strict=True)))
    config = hf.Qwen2_5_VLConfig(text_config=text, vision_config=seen, tie_word_embeddings=True, **marks)
    return hf.Qwen2_5_VLForConditionalGeneration(config), hf.Qwen2VLImageProcessorPil(), tokens


@kind(picture, written)
def qwen3_vl_2b() -> Made:
    """Qwen/Qwen3-VL-2B-Instruct, 6 of 24 layers that see and 4 of 28 that write."""
    tokens = words(*MARKS)
    text = {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 4,
            "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True,
            "rope_parameters": _rope(24, 20, 20), **ENDS}  # fmt: skip
    seen = {"depth": 6, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2048,
            "patch_size": 16, "deepstack_visual_indexes": [1, 3, 5]}  # fmt: skip
    marks = ids(tokens, dict(zip(NAMES, MARKS, strict=True)))
    config = hf.Qwen3VLConfig(text_config=text, vision_config=seen, tie_word_embeddings=True, **marks)
    pictures = hf.Qwen2VLImageProcessorPil(patch_size=16, merge_size=2)
    return hf.Qwen3VLForConditionalGeneration(config), pictures, tokens


@kind(picture, written)
def mllama() -> Made:
    """meta-llama/Llama-3.2-11B-Vision, 8 and 2 of 32 and 8 layers that see, 5 of 40 that write, those half as wide and
    with half as many words."""
    tokens = words("<|image|>")
    seen = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 8, "num_global_layers": 2,
            "attention_heads": 16, "image_size": 560, "patch_size": 14, "max_num_tiles": 4,
            "intermediate_layers_indices": [1, 2, 3, 5, 6], "vision_output_dim": 7680}  # fmt: skip
    text = {"vocab_size": 65536, "hidden_size": 2048, "intermediate_size": 7168, "num_hidden_layers": 5,
            "num_attention_heads": 16, "num_key_value_heads": 4, "cross_attention_layers": [3], **ENDS}  # fmt: skip
    marks = ids(tokens, {"image_token_index": "<|image|>"})
    config = hf.MllamaConfig(vision_config=seen, text_config=text, **marks)
    pictures = hf.MllamaImageProcessorPil(size=square(560), max_image_tiles=4)
    return hf.MllamaForConditionalGeneration(config), hf.MllamaProcessor(pictures, tokens)


@kind(patches(PLACE, 16), tap="logits")
def pixtral() -> Made:
    """mistral-community/pixtral-12b, 8 of 24 layers that see and 3 of 40 that write, those half as wide and with half
    as many words. Its processor needs torchvision: tensors are shown."""
    tokens = words("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    seen = hf.PixtralVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=8, num_attention_heads=16, image_size=1024,
        patch_size=16,
    )  # fmt: skip
    text = hf.MistralConfig(
        vocab_size=65536, hidden_size=2560, intermediate_size=7168, num_hidden_layers=3, num_attention_heads=16,
        num_key_value_heads=4, head_dim=128, **ENDS,
    )  # fmt: skip
    config = hf.LlavaConfig(
        vision_config=seen, text_config=text, vision_feature_select_strategy="full", vision_feature_layer=-1,
        **ids(tokens, {"image_token_index": "[IMG]"}),
    )  # fmt: skip
    return hf.LlavaForConditionalGeneration(config), tokens
