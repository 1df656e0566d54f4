"""Decoders that see, and hear: pictures and sounds take places in the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf

from .parts import DECODER, ENDS, RATE, SMALL, also, jittered, pictures, sample, save, sounds, token, tokenizer
from .tiny import Tiny
from .vision import PIXELS, seen


def mllama(folder: Path) -> None:
    """Llama 3.2 Vision: tiles, and cross-attention in some layers."""
    torch.manual_seed(0)
    words = tokenizer({"image_token": "<|image|>"})
    shape = {key: value for key, value in DECODER.items() if key != "num_hidden_layers"}
    text = {**shape, "num_hidden_layers": 4, "cross_attention_layers": [1, 3], **ENDS,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}  # fmt: skip
    vision = {"hidden_size": 32, "num_hidden_layers": 3, "num_global_layers": 2, "attention_heads": 4,
              "intermediate_size": 48, "image_size": 28, "patch_size": 14, "max_num_tiles": 2, "vision_output_dim": 64,
              "intermediate_layers_indices": [1], "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]}  # fmt: skip
    config = hf.MllamaConfig(text_config=text, vision_config=vision, image_token_index=token(words, "<|image|>"))
    images = hf.MllamaImageProcessorPil(size=PIXELS, max_image_tiles=2)
    save(folder, jittered(hf.MllamaForConditionalGeneration(config)), hf.MllamaProcessor(images, words))


def step37(folder: Path) -> None:
    """Step-3.7-Flash, the relative of Step3-VL that transformers has."""
    torch.manual_seed(0)
    words = tokenizer({"image_token": "<im_patch>"})
    text = DECODER | {
        "head_dim": 8,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "share_expert_dim": 16,
        "sliding_window": 16,
        "mlp_layer_types": ["dense", "sparse", "sparse"],
    }
    vision = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 56, "patch_size": 14,
              "mlp_ratio": 1.5, "max_position_embeddings": 16}  # fmt: skip
    config = hf.Step3p7Config(text_config=text, vision_config=vision, image_token_id=token(words, "<im_patch>"))
    save(folder, jittered(hf.Step3p7ForConditionalGeneration(config)), words)


def minicpm(folder: Path) -> None:
    """MiniCPM-V 4.6: an encoder that merges windows in the middle, a Qwen3.5 decoder with linear attention."""
    torch.manual_seed(0)
    marks = {"image_token": "<image_pad>", "video_token": "<video_pad>", "image_start_token": "<image>",
             "image_end_token": "</image>"}  # fmt: skip
    words = tokenizer(marks)
    text = {
        **DECODER,
        "model_type": "qwen3_5_text",
        "head_dim": 8,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "num_hidden_layers": 4,
        **ENDS,
    }
    config = hf.MiniCPMV4_6Config(
        text_config=text, vision_config={**SMALL, "image_size": 56, "patch_size": 14, "insert_layer_id": 1},
        insert_layer_id=1, image_token_id=token(words, "<image_pad>"), video_token_id=token(words, "<video_pad>"),
    )  # fmt: skip
    images = hf.MiniCPMV4_6ImageProcessorPil(scale_resolution=56, patch_size=14, slice_mode=False)
    save(folder, jittered(hf.MiniCPMV4_6ForConditionalGeneration(config)), images, words)


def _placed() -> list[Any]:
    """Pixels as the image processor would give them, and one place in the text: 56 / 14 = 4, halved twice."""
    generator = np.random.default_rng(0)
    words = tokenizer({"image_token": "<im_patch>"})
    ids = words("<im_patch> seen", return_tensors="np")
    return [
        sample(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            pixel_values=generator.standard_normal((1, 3, 56, 56)).astype(np.float32),
        )
        for _ in range(2)
    ]


def _patches() -> list[Any]:
    """What the image processor gives, and as many places in the text as there will be states of the picture."""
    images = hf.MiniCPMV4_6ImageProcessorPil(scale_resolution=56, patch_size=14, slice_mode=False)
    words, rows = tokenizer({"image_token": "<image_pad>", "video_token": "<video_pad>", "image_start_token": "<image>",
                             "image_end_token": "</image>"}), []  # fmt: skip
    for each in pictures(56, 56, 1):
        found = images(each.fields["image"], return_tensors="np")
        count = int(found["target_sizes"].prod(-1).sum()) // 16
        ids = words("<image>" + "<image_pad>" * count + "</image> seen", return_tensors="np")
        rows.append(sample(**{name: ids[name] for name in ("input_ids", "attention_mask")},
                           pixel_values=found["pixel_values"], target_sizes=found["target_sizes"]))  # fmt: skip
    return rows


def omni(folder: Path) -> None:
    """Qwen3-Omni: the whole file, of which the thinker is the teacher."""
    torch.manual_seed(0)
    marks = {"image_token": "<|image_pad|>", "audio_token": "<|audio_pad|>", "video_token": "<|video_pad|>",
             "vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>",
             "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>"}  # fmt: skip
    words = tokenizer(marks)
    text = {**DECODER, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}  # fmt: skip
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "patch_size": 16,
              "out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [1]}  # fmt: skip
    audio = {
        "num_mel_bins": 16,
        "encoder_layers": 3,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "d_model": 32,
        "output_dim": 32,
        "n_window": 50,
        "n_window_infer": 100,
        "downsample_hidden_size": 8,
        "max_source_positions": 64,
    }
    thinker = {"text_config": text, "vision_config": vision, "audio_config": audio,
               **{f"{name}_token_id": token(words, marks[f"{name}_token"]) for name in ("image", "audio", "video")},
               "audio_start_token_id": token(words, "<|audio_start|>"),
               "vision_start_token_id": token(words, "<|vision_start|>")}  # fmt: skip
    config = hf.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    images = hf.Qwen2VLImageProcessorPil(patch_size=16, merge_size=2, min_pixels=1024, max_pixels=4096)
    save(folder, jittered(hf.Qwen3OmniMoeForConditionalGeneration(config)), words)
    also(
        folder,
        ["talker.codec_head.weight", "talker.model.layers.0.self_attn.q_proj.weight", "code2wav.decoder.0.conv.weight"],
    )
    told = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"enable_audio_output": True}
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    kept = {**images.to_dict(), **hf.WhisperFeatureExtractor(feature_size=16).to_dict(),
            "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen3OmniMoeProcessor"}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(kept, default=str), encoding="utf-8")


ROWS = (
    Tiny(name="minicpm-v", stands_for="openbmb/MiniCPM-V-4.6", build=minicpm, samples=_patches,
         checked="patches of MiniCPMV4_6ImageProcessor for Pillow, places of the picture in the text",
         absent="MiniCPMV4_6Processor itself needs a video processor, and that torchvision; releases before 4.6 are"
                " remote code"),
    Tiny(name="qwen3-omni", stands_for="Qwen/Qwen3-Omni-30B-A3B-Instruct", build=omni,
         samples=lambda: [sample(image=each.fields["image"], audio=wave.fields["audio"], rate=RATE, text="x = [1, 2]")
                          for each, wave in zip(pictures(64, 64), sounds(8000), strict=True)],
         checked="thinker.* of the whole file: text, picture and sound through Qwen3OmniMoeProcessor",
         absent="films need torchvision; the talker and its vocoder are in the file, and no teacher"),
    Tiny(name="step-3-7-flash", stands_for="stepfun-ai/Step-3.7-Flash", build=step37, card=False,
         samples=_placed, checked="experts; a picture's places in the text",
         absent="Step3p7ImageProcessor needs torchvision"),
    Tiny(name="llama-3-2-vision", stands_for="meta-llama/Llama-3.2-11B-Vision-Instruct", build=mllama,
         samples=lambda: seen("<|image|>seen"), checked="tiles and cross-attention through MllamaProcessor"),
)  # fmt: skip
