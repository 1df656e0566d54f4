"""What goes on with a text: decoders, mixtures of experts, state spaces."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import ENDS, LARGE, words
from .samples import read


@kind(read)
def qwen25_05b() -> Made:
    """Qwen/Qwen2.5-0.5B, whole."""
    config = hf.Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True, **ENDS,
    )  # fmt: skip
    return hf.Qwen2ForCausalLM(config), words()


@kind(read)
def llama32_1b() -> Made:
    """meta-llama/Llama-3.2-1B, 6 of 16 layers: its table is its head."""
    config = hf.LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=6, num_attention_heads=32,
        num_key_value_heads=8, head_dim=64, max_position_embeddings=131072, tie_word_embeddings=True, **ENDS,
    )  # fmt: skip
    return hf.LlamaForCausalLM(config), words()


@kind(read)
def smollm2_360m() -> Made:
    """HuggingFaceTB/SmolLM2-360M, whole."""
    config = hf.LlamaConfig(
        vocab_size=49152, hidden_size=960, intermediate_size=2560, num_hidden_layers=32, num_attention_heads=15,
        num_key_value_heads=5, max_position_embeddings=8192, tie_word_embeddings=True, **ENDS,
    )  # fmt: skip
    return hf.LlamaForCausalLM(config), words()


@kind(read)
def qwen3_06b() -> Made:
    """Qwen/Qwen3-0.6B, whole."""
    config = hf.Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, **ENDS,
    )  # fmt: skip
    return hf.Qwen3ForCausalLM(config), words()


@kind(read)
def mistral_7b() -> Made:
    """mistralai/Mistral-7B-v0.3, 2 of 32 layers."""
    config = hf.MistralConfig(
        vocab_size=32768, hidden_size=4096, intermediate_size=14336, num_hidden_layers=2, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=32768, **ENDS,
    )  # fmt: skip
    return hf.MistralForCausalLM(config), words()


@kind(read)
def phi3_mini() -> Made:
    """microsoft/Phi-3-mini-4k-instruct, 4 of 32 layers."""
    config = hf.Phi3Config(
        vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=4, num_attention_heads=32,
        num_key_value_heads=32, sliding_window=2047, **ENDS,
    )  # fmt: skip
    return hf.Phi3ForCausalLM(config), words()


@kind(read)
def gemma2_2b() -> Made:
    """google/gemma-2-2b, 2 of 26 layers: its table is most of it."""
    config = hf.Gemma2Config(
        vocab_size=256000, hidden_size=2304, intermediate_size=9216, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, head_dim=256, **ENDS,
    )  # fmt: skip
    return hf.Gemma2ForCausalLM(config), words()


@kind(read)
def gemma3_270m() -> Made:
    """google/gemma-3-270m, whole."""
    config = hf.Gemma3TextConfig(
        vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256, sliding_window=512, **ENDS,
    )  # fmt: skip
    return hf.Gemma3ForCausalLM(config), words()


@kind(read)
def gemma3_1b() -> Made:
    """google/gemma-3-1b-pt, 8 of 26 layers."""
    config = hf.Gemma3TextConfig(
        vocab_size=262144, hidden_size=1152, intermediate_size=6912, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256, sliding_window=512, **ENDS,
    )  # fmt: skip
    return hf.Gemma3ForCausalLM(config), words()


@kind(read)
def gpt2_medium() -> Made:
    """openai-community/gpt2-medium, whole."""
    return hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=1024, n_layer=24, n_head=16, **ENDS)), words()


@kind(read)
def pythia_410m() -> Made:
    """EleutherAI/pythia-410m, whole."""
    return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(vocab_size=50304, rotary_pct=0.25, **ENDS, **LARGE)), words()


@kind(read)
def bloom_560m() -> Made:
    """bigscience/bloom-560m, whole."""
    return hf.BloomForCausalLM(hf.BloomConfig(vocab_size=250880, hidden_size=1024, n_layer=24, n_head=16)), words()


@kind(read)
def olmoe() -> Made:
    """allenai/OLMoE-1B-7B-0924, 2 of 16 layers: 64 experts in each."""
    config = hf.OlmoeConfig(
        vocab_size=50304, hidden_size=2048, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=16,
        num_key_value_heads=16, num_experts=64, num_experts_per_tok=8, **ENDS,
    )  # fmt: skip
    return hf.OlmoeForCausalLM(config), words()


@kind(read)
def mixtral() -> Made:
    """mistralai/Mixtral-8x7B-v0.1, 3 of 32 layers, half as wide, its experts a quarter."""
    config = hf.MixtralConfig(
        vocab_size=32000, hidden_size=2048, intermediate_size=3584, num_hidden_layers=3, num_attention_heads=16,
        num_key_value_heads=4, **ENDS,
    )  # fmt: skip
    return hf.MixtralForCausalLM(config), words()


@kind(read)
def deepseek_v3() -> Made:
    """deepseek-ai/DeepSeek-V3, 6 of 61 layers, a seventh as wide, 64 of 256 experts."""
    config = hf.DeepseekV3Config(
        vocab_size=129280, hidden_size=1024, intermediate_size=2560, moe_intermediate_size=512, num_hidden_layers=6,
        num_attention_heads=16, num_key_value_heads=16, n_routed_experts=64, n_group=8, topk_group=4,
        num_experts_per_tok=8, first_k_dense_replace=3, q_lora_rank=384, kv_lora_rank=512, **ENDS,
    )  # fmt: skip
    return hf.DeepseekV3ForCausalLM(config), words()


@kind(read)
def recurrentgemma_2b() -> Made:
    """google/recurrentgemma-2b, 3 of 26 layers: two recurrences, then attention."""
    config = hf.RecurrentGemmaConfig(
        vocab_size=256000, hidden_size=2560, intermediate_size=15360, num_hidden_layers=3, num_attention_heads=10,
        lru_width=2560, **ENDS,
    )  # fmt: skip
    return hf.RecurrentGemmaForCausalLM(config), words()


@kind(read)
def mamba_370m() -> Made:
    """state-spaces/mamba-370m-hf, whole."""
    config = hf.MambaConfig(vocab_size=50280, hidden_size=1024, num_hidden_layers=48, **ENDS)
    return hf.MambaForCausalLM(config), words()


@kind(read)
def mamba2_370m() -> Made:
    """state-spaces/mamba2-370m, whole."""
    config = hf.Mamba2Config(
        vocab_size=50288, hidden_size=1024, num_hidden_layers=48, num_heads=32, head_dim=64, n_groups=1,
        state_size=128, tie_word_embeddings=True, **ENDS,
    )  # fmt: skip
    return hf.Mamba2ForCausalLM(config), words()


@kind(read)
def rwkv_430m() -> Made:
    """RWKV/rwkv-4-430m-pile, whole."""
    return hf.RwkvForCausalLM(hf.RwkvConfig(hidden_size=1024, num_hidden_layers=24, **ENDS)), words()


@kind(read, dtype="float32")
def xlnet_large() -> Made:
    """xlnet/xlnet-large-cased, 16 of 24 layers; in bfloat16 transformers does not run it."""
    return hf.XLNetLMHeadModel(hf.XLNetConfig(vocab_size=32000, d_model=1024, n_layer=16, n_head=16)), words()
