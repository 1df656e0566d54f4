"""Language models that see, by the tower and the glue between."""

from __future__ import annotations

from typing import Any

import transformers as hf

from .kind import Made, ids, kind
from .parts import ENDS, LARGE, SO400M, shortest, square, words
from .samples import picture, written

QWEN_05B: dict[str, Any] = {
    "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 12, "num_attention_heads": 14,
    "num_key_value_heads": 2, **ENDS,
}  # fmt: skip
SEVEN: dict[str, Any] = {
    "vocab_size": 32064, "hidden_size": 4096, "num_hidden_layers": 2, "num_attention_heads": 32, **ENDS,
}  # fmt: skip
CLIP: dict[str, Any] = LARGE | {"num_hidden_layers": 6, "image_size": 336, "patch_size": 14}
TILES = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}


@kind(picture, written)
def gemma3_4b() -> Made:
    """google/gemma-3-4b-pt (translategemma's shape), 4 of 27 layers that see and 2 of 34 that write."""
    named = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokens = words(named=named)
    text = {"vocab_size": 262208, "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 2,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 1024}  # fmt: skip
    seen = SO400M | {"num_hidden_layers": 4, "image_size": 896, "patch_size": 14, "vision_use_head": False}
    marks = ids(tokens, {f"{name.removesuffix('_token')}_token_index": each for name, each in named.items()})
    config = hf.Gemma3Config(text_config=text | ENDS, vision_config=seen, mm_tokens_per_image=256, **marks)
    pictures = hf.Gemma3ImageProcessorPil(size=square(896))
    return hf.Gemma3ForConditionalGeneration(config), hf.Gemma3Processor(pictures, tokens)


@kind(picture, written)
def llava() -> Made:
    """llava-hf/llava-1.5-7b-hf, 6 of 24 layers that see and 2 of 32 that write."""
    tokens = words("<image>")
    text = hf.LlamaConfig(intermediate_size=11008, **SEVEN)
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**CLIP), text_config=text, **ids(tokens, {"image_token_index": "<image>"})
    )
    pictures = hf.CLIPImageProcessorPil(**shortest(336))
    return hf.LlavaForConditionalGeneration(config), hf.LlavaProcessor(pictures, tokens, **TILES)


@kind(picture, written)
def llava_next() -> Made:
    """llava-hf/llava-v1.6-mistral-7b-hf, 6 of 24 layers that see and 2 of 32 that write."""
    tokens = words("<image>")
    text = hf.MistralConfig(intermediate_size=14336, num_key_value_heads=8, **SEVEN)
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**CLIP), text_config=text, **ids(tokens, {"image_token_index": "<image>"})
    )
    pictures = hf.LlavaNextImageProcessorPil(**shortest(336))
    return hf.LlavaNextForConditionalGeneration(config), hf.LlavaNextProcessor(pictures, tokens, **TILES)


@kind(picture, written)
def llava_onevision() -> Made:
    """llava-hf/llava-onevision-qwen2-0.5b-ov-hf, 10 of 26 layers that see and 12 of 24 that write."""
    tokens = words("<image>", "<video>")
    seen = SO400M | {"num_hidden_layers": 10, "image_size": 384, "patch_size": 14, "vision_use_head": False}
    text = hf.Qwen2Config(vocab_size=152000, tie_word_embeddings=True, **QWEN_05B)
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**seen), text_config=text, tie_word_embeddings=True,
        **ids(tokens, {"image_token_index": "<image>", "video_token_index": "<video>"}),
    )  # fmt: skip
    about = {"processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 729,
             "vision_feature_select_strategy": "full"}  # fmt: skip
    pictures = hf.LlavaOnevisionImageProcessorPil(size=square(384))
    return hf.LlavaOnevisionForConditionalGeneration(config), pictures, tokens, about


@kind(picture, written)
def internvl3() -> Made:
    """OpenGVLab/InternVL3-1B-hf, 12 of 24 layers that see and 12 of 24 that write."""
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
             "video_token": "<video>"}  # fmt: skip
    tokens = words(named=named)
    seen = LARGE | {"num_hidden_layers": 12, "image_size": [448, 448], "patch_size": [14, 14]}
    text = hf.Qwen2Config(vocab_size=151674, **QWEN_05B)
    marks = ids(tokens, {"image_token_id": "<IMG_CONTEXT>"})
    config = hf.InternVLConfig(vision_config=seen, text_config=text, **marks)
    pictures = hf.GotOcr2ImageProcessorPil(size=square(448), crop_to_patches=True, min_patches=1, max_patches=12)
    about = {"processor_class": "InternVLProcessor", "image_seq_length": 256}
    return hf.InternVLForConditionalGeneration(config), pictures, tokens, about


@kind(picture, written)
def smolvlm() -> Made:
    """HuggingFaceTB/SmolVLM-Instruct (Idefics 3), 6 of 27 layers that see and 4 of 24 that write."""
    tokens = words("<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>")
    seen = SO400M | {"num_hidden_layers": 6, "image_size": 384, "patch_size": 14}
    text = hf.LlamaConfig(
        vocab_size=49155, hidden_size=2048, intermediate_size=8192, num_hidden_layers=4, num_attention_heads=32, **ENDS
    )
    marks = ids(tokens, {"image_token_id": "<image>"})
    config = hf.Idefics3Config(vision_config=seen, text_config=text, scale_factor=3, **marks)
    pictures = hf.Idefics3ImageProcessorPil(size={"longest_edge": 1536}, max_image_size={"longest_edge": 384})
    return hf.Idefics3ForConditionalGeneration(config), hf.Idefics3Processor(pictures, tokens, image_seq_len=81)


@kind(picture, written)
def smolvlm_500m() -> Made:
    """HuggingFaceTB/SmolVLM-500M-Instruct (Idefics 3), whole."""
    tokens = words("<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>")
    seen = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "image_size": 512, "patch_size": 16}  # fmt: skip
    text = hf.LlamaConfig(
        vocab_size=49280, hidden_size=960, intermediate_size=2560, num_hidden_layers=32, num_attention_heads=15,
        num_key_value_heads=5, **ENDS,
    )  # fmt: skip
    marks = ids(tokens, {"image_token_id": "<image>"})
    config = hf.Idefics3Config(vision_config=seen, text_config=text, scale_factor=4, **marks)
    pictures = hf.Idefics3ImageProcessorPil(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    return hf.Idefics3ForConditionalGeneration(config), hf.Idefics3Processor(pictures, tokens, image_seq_len=64)


@kind(picture, written)
def paligemma() -> Made:
    """google/paligemma-3b-pt-448, 4 of 27 layers that see and 2 of 18 that write."""
    tokens = words("<image>")
    seen = SO400M | {"num_hidden_layers": 4, "image_size": 448, "patch_size": 14, "vision_use_head": False}
    text = hf.GemmaConfig(
        vocab_size=257216, hidden_size=2048, intermediate_size=16384, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=1, head_dim=256, **ENDS,
    )  # fmt: skip
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**seen), text_config=text, projection_dim=2048,
        **ids(tokens, {"image_token_index": "<image>"}),
    )  # fmt: skip
    pictures = hf.SiglipImageProcessorPil(size=square(448))
    pictures.image_seq_length = 1024
    return hf.PaliGemmaForConditionalGeneration(config), hf.PaliGemmaProcessor(pictures, tokens)
