"""Language models: decoders, mixtures of experts, and translation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from .parts import DECODER, ENDS, TEXTS, also, jittered, sample, save, texts, tokenizer
from .tiny import Tiny

LATENT = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "n_shared_experts": 1, "n_group": 2,
    "topk_group": 1, "first_k_dense_replace": 1,
}  # fmt: skip
"""Latent attention and experts, as DeepSeek-V3 has them: the first layer is dense."""


def _decoder(kind: Any, config: Any, **more: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        torch.manual_seed(0)
        shape = DECODER | ENDS | {"tie_word_embeddings": False} | more
        save(folder, jittered(kind(config(**shape))), tokenizer())

    return build


def _predicting(kind: Any, config: Any, **more: Any) -> Callable[[Path], None]:
    """A decoder whose file has one more layer, which predicts further tokens and belongs to no class."""

    def build(folder: Path) -> None:
        _decoder(kind, config, **more)(folder)
        also(
            folder,
            [
                f"model.layers.3.{name}.weight"
                for name in ("eh_proj", "enorm", "hnorm", "embed_tokens", "shared_head.norm", "mlp.experts.0.up_proj")
            ],
        )

    return build


def _translator(folder: Path) -> None:
    """translategemma is a Gemma 3 with its image encoder: it translates texts, and texts in pictures. Its file holds
    the head apart from the embedding that it is tied to."""
    from .vision import gemma3

    gemma3(folder, apart=True)


def _pictured() -> Any:
    from .vision import seen

    return seen("<start_of_image> x = [1, 2]")


ROWS = (
    Tiny(name="qwen2-5-0-5b", stands_for="Qwen/Qwen2.5-0.5B", samples=texts, quick=True,
         build=_decoder(hf.Qwen2ForCausalLM, hf.Qwen2Config, tie_word_embeddings=True), checked="tied head"),
    Tiny(name="smollm3-3b", stands_for="HuggingFaceTB/SmolLM3-3B", samples=texts,
         build=_decoder(hf.SmolLM3ForCausalLM, hf.SmolLM3Config, tie_word_embeddings=True, no_rope_layer_interval=2),
         checked="tied head, layers without rotary positions"),
    Tiny(name="smollm2", stands_for="HuggingFaceTB/SmolLM2-1.7B", samples=texts, card=False,
         build=_decoder(hf.LlamaForCausalLM, hf.LlamaConfig, tie_word_embeddings=True), checked="tied head"),
    Tiny(name="glm-4-9b", stands_for="zai-org/GLM-4-9B-0414", samples=texts,
         build=_decoder(hf.Glm4ForCausalLM, hf.Glm4Config, head_dim=8)),
    Tiny(name="glm-4-9b-chat", stands_for="zai-org/glm-4-9b-chat-hf", samples=texts, card=False,
         build=_decoder(hf.GlmForCausalLM, hf.GlmConfig, head_dim=8),
         absent="zai-org/glm-4-9b-chat (model type chatglm) is remote code, which is never run"),
    Tiny(name="deepseek-v3", stands_for="deepseek-ai/DeepSeek-V3", samples=texts, quick=True,
         build=_predicting(hf.DeepseekV3ForCausalLM, hf.DeepseekV3Config, **LATENT, num_key_value_heads=4),
         checked="experts one by one, latent attention, a layer for further tokens in the file",
         absent="its blocks of FP8, which are checked on their own"),
    Tiny(name="glm-4-7-flash", stands_for="zai-org/GLM-4.7-Flash", samples=texts,
         build=_predicting(hf.Glm4MoeLiteForCausalLM, hf.Glm4MoeLiteConfig, **LATENT, num_key_value_heads=4),
         checked="experts one by one, latent attention, a layer for further tokens in the file"),
    Tiny(name="deepseek-r1-distill-llama-70b", stands_for="deepseek-ai/DeepSeek-R1-Distill-Llama-70B", samples=texts,
         build=_decoder(hf.LlamaForCausalLM, hf.LlamaConfig, head_dim=8, rope_scaling={
             "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 64}), checked="scaled rotary positions"),
    Tiny(name="qwen2-5-coder-7b", stands_for="Qwen/Qwen2.5-Coder-7B-Instruct", samples=texts,
         build=_decoder(hf.Qwen2ForCausalLM, hf.Qwen2Config)),
    Tiny(name="agentcpm-explore", stands_for="openbmb/AgentCPM-Explore", samples=texts,
         build=_decoder(hf.Qwen3ForCausalLM, hf.Qwen3Config, head_dim=8),
         absent="that it is a Qwen3 is known from what is written about it, its config.json was not seen"),
    Tiny(name="qwen3-moe", stands_for="Qwen/Qwen3-30B-A3B", samples=texts, card=False,
         build=_decoder(hf.Qwen3MoeForCausalLM, hf.Qwen3MoeConfig, head_dim=8, num_experts=4, num_experts_per_tok=2,
                        moe_intermediate_size=16), checked="experts one by one"),
    Tiny(name="gemma-3-270m", stands_for="google/gemma-3-270m", samples=texts, card=False,
         build=_decoder(hf.Gemma3ForCausalLM, hf.Gemma3TextConfig, head_dim=8, sliding_window=16,
                        tie_word_embeddings=True), checked="tied head, sliding windows"),
    Tiny(name="translategemma-4b", stands_for="google/translategemma-4b-it", samples=_pictured, build=_translator,
         checked="text and pictures through Gemma3Processor, a head of its own in the file"),
)  # fmt: skip


def _translated() -> Any:
    """Texts, and what they become."""
    return [sample(text=text, target=target) for text, target in zip(TEXTS, reversed(TEXTS), strict=True)]


def _m2m(folder: Path) -> None:
    torch.manual_seed(0)
    shape = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4,
             "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}  # fmt: skip
    config = hf.M2M100Config(vocab_size=DECODER["vocab_size"], max_position_embeddings=64, **shape, **ENDS,
                             decoder_start_token_id=1)  # fmt: skip
    save(folder, jittered(hf.M2M100ForConditionalGeneration(config)), tokenizer())


def _madlad(folder: Path) -> None:
    torch.manual_seed(0)
    config = hf.T5Config(vocab_size=DECODER["vocab_size"], d_model=32, d_kv=8, d_ff=48, num_layers=3, num_heads=4,
                         feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
                         pad_token_id=1, eos_token_id=1)  # fmt: skip
    save(folder, jittered(hf.T5ForConditionalGeneration(config)), tokenizer())


ROWS += (
    Tiny(name="nllb-200", stands_for="facebook/nllb-200-distilled-600M", samples=_translated, build=_m2m, card=False),
    Tiny(name="madlad400-3b-mt", stands_for="google/madlad400-3b-mt", samples=_translated, build=_madlad, card=False),
)
