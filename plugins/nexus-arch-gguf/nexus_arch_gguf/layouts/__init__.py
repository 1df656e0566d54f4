"""Every GGUF architecture that transformers has a class for, and which class that is.

Source of the table: llama.cpp's converter (`conversion/*.py`, `@ModelBase.register("Class", ...)` on classes with
`model_arch = MODEL_ARCH.X`), kept to the classes that transformers has and the architectures that gguf has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..delta import QWEN3_5, QWEN3_NEXT
from ..layout import Layout
from ..rules import FUSED_FROM_THE_OTHER_SIDE, GPT_OSS
from ..source import Source
from . import decoders, encoders, experts, gemma, hyper, indexed, newer, parts, recurrent, towers, uneven

Choice = Layout | Callable[[Source], Layout]
"""A layout, or what finds it where several classes share a GGUF architecture."""

LAYOUTS: Mapping[str, Choice] = {
    "afmoe": Layout(head="AfmoeForCausalLM", fill=experts.afmoe),
    "apertus": Layout(head="ApertusForCausalLM", constants=decoders.apertus),
    "arcee": Layout(head="ArceeForCausalLM", rules=decoders.ROTATED),
    "bert": encoders.bert,
    "bitnet": Layout(head="BitNetForCausalLM", rules=decoders.BITNET),
    "bloom": Layout(head="BloomForCausalLM", rules=decoders.FUSED_QKV),
    "chameleon": Layout(head="ChameleonForConditionalGeneration", rules=decoders.CHAMELEON, absent=("model.vqmodel",),
        fixed={"vocabulary_map": {}}),
    "chatglm": Layout(head="GlmForCausalLM", fill=decoders.glm),
    "clip": towers.tower,
    "cohere2": Layout(head="Cohere2ForCausalLM", fill=decoders.cohere2),
    "cohere2moe": Layout(head="Cohere2MoeForCausalLM", rules=newer.COHERE2_MOE, fill=newer.cohere2_moe),
    "command-r": Layout(head="CohereForCausalLM", fill=decoders.cohere),
    "dbrx": Layout(head="DbrxForCausalLM", rules=experts.DBRX, fill=experts.dbrx),
    "deepseek2": experts.deepseek,
    "deepseek2-ocr": Layout(head="DeepseekOcr2ForConditionalGeneration", fill=newer.deepseek_ocr,
        absent=("model.vision_tower", "model.multi_modal_projector", "model.view_separator")),
    "deepseek32": Layout(head="DeepseekV32ForCausalLM", fill=experts.dsa),
    "deepseek4": Layout(head="DeepseekV4ForCausalLM", rules=hyper.DEEPSEEK4, fill=hyper.deepseek_v4),
    "dflash": parts.dflash,
    "dots1": Layout(head="Dots1ForCausalLM"),
    "dots3note": Layout(head="Dots3NoteForCausalLM", rules=indexed.DOTS3, fill=indexed.dots3),
    "ernie4_5": Layout(head="Ernie4_5ForCausalLM"),
    "ernie4_5-moe": Layout(head="Ernie4_5_MoeForCausalLM"),
    "eurobert": Layout(head="EuroBertModel"),
    "exaone-moe": Layout(head="ExaoneMoeForCausalLM", fill=experts.exaone_moe),
    "exaone4": Layout(head="Exaone4ForCausalLM", fill=decoders.exaone4),
    "falcon": Layout(head="FalconForCausalLM", rules=decoders.FALCON, fill=decoders.falcon),
    "falcon-h1": Layout(head="FalconH1ForCausalLM", fill=recurrent.falcon_h1),
    "gemma": Layout(head="GemmaForCausalLM", rules=gemma.PLUS_ONE),
    "gemma-embedding": Layout(head="Gemma3TextModel", rules=gemma.PLUS_ONE, fill=gemma.gemma3_embedding),
    "gemma2": Layout(head="Gemma2ForCausalLM", rules=gemma.PLUS_ONE, fill=gemma.gemma2),
    "gemma3": Layout(head="Gemma3ForCausalLM", rules=gemma.PLUS_ONE, fill=gemma.gemma3),
    "gemma3n": Layout(head="Gemma3nForCausalLM", rules=gemma.NESTED, fill=gemma.gemma3n),
    "gemma4": Layout(head="Gemma4ForCausalLM", rules=gemma.NESTED, fill=gemma.gemma4,
        read=r"rope_freqs\.weight$"),
    "glm-dsa": Layout(head="GlmMoeDsaForCausalLM", fill=experts.dsa),
    "glm5-next": Layout(head="Glm5NextForConditionalGeneration", rules=hyper.GLM5, fill=hyper.glm5_next,
        absent=("model.visual",)),
    "glm4": decoders.glm4,
    "glm4moe": experts.glm_moe,
    "gpt-oss": Layout(head="GptOssForCausalLM", rules=GPT_OSS, fill=experts.gpt_oss),
    "gpt2": Layout(head="GPT2LMHeadModel", rules=decoders.GPT2),
    "gptneox": Layout(head="GPTNeoXForCausalLM", rules=decoders.FUSED_QKV),
    "granite": Layout(head="GraniteForCausalLM", rules=decoders.ROTATED, fill=decoders.granite),
    "granite_swa": newer.granite_swa,
    "granitehybrid": recurrent.granite_hybrid,
    "granitemoe": experts.granite_moe,
    "hrm_text": newer.hrm_text,
    "hunyuan-dense": Layout(head="HunYuanDenseV1ForCausalLM"),
    "hunyuan-moe": Layout(head="HunYuanMoEV1ForCausalLM", fill=experts.hunyuan_moe),
    "hunyuan_vl": Layout(head="HunYuanVLForConditionalGeneration", fill=decoders.in_sections(4),
        absent=("model.vision_tower",)),
    "hy_v3": Layout(head="HYV3ForCausalLM", fill=newer.sparse_behind),
    "hy_v4": Layout(head="HYV4ForCausalLM", rules=hyper.HY4, fill=hyper.hy_v4),
    "jais2": Layout(head="Jais2ForCausalLM"),
    "jina-bert-v3": Layout(head="JinaEmbeddingsV3Model", rules=encoders.JINA3, fill=encoders.nomic, absent=("pooler",)),
    "jamba": Layout(head="JambaForCausalLM", fill=recurrent.jamba),
    "kimi-linear": Layout(head="KimiLinearForCausalLM", rules=recurrent.KIMI, fill=recurrent.kimi),
    "laguna": Layout(head="LagunaForCausalLM", rules=newer.LAGUNA, fill=newer.laguna),
    "lfm2": Layout(head="Lfm2ForCausalLM", fill=recurrent.lfm2),
    "lfm2moe": Layout(head="Lfm2MoeForCausalLM", fill=recurrent.lfm2),
    "llama": decoders.llama,
    "llama4": Layout(head="Llama4ForCausalLM", rules=FUSED_FROM_THE_OTHER_SIDE, fill=experts.llama4),
    "mamba": recurrent.mamba,
    "mamba2": Layout(head="Mamba2ForCausalLM", fill=recurrent.mamba2),
    "mellum": Layout(head="MellumForCausalLM", fill=newer.mellum, fixed={"norm_topk_prob": True}),
    "mimo2": Layout(head="MiMoV2FlashForCausalLM", fill=uneven.mimo),
    "minicpm3": Layout(head="MiniCPM3ForCausalLM", fill=experts.latent),
    "minimax-m2": Layout(head="MiniMaxM2ForCausalLM", fill=experts.minimax),
    "minimax-m3": Layout(head="MiniMaxM3SparseForConditionalGeneration", rules=indexed.MINIMAX_M3,
        fill=indexed.minimax_m3, absent=("model.vision_tower", "model.multi_modal_projector")),
    "mistral3": Layout(head="Ministral3ForCausalLM", rules=decoders.ROTATED, fill=decoders.ministral),
    "mistral4": Layout(head="Mistral4ForCausalLM", fill=experts.mistral4),
    "modern-bert": Layout(head="ModernBertModel", fill=encoders.modern_bert),
    "mpt": Layout(head="MptForCausalLM", fill=decoders.mpt),
    "muse-glimmer": Layout(head="MuseGlimmerForConditionalGeneration", rules=newer.MUSE, fill=newer.muse_glimmer,
        read=r"attn_[qk]_norm\.weight$",
        absent=("model.vision_tower", "model.vision_adapter", "model.vision_projection")),
    "nemotron": Layout(head="NemotronForCausalLM", rules=gemma.PLUS_ONE),
    "nemotron_h": Layout(head="NemotronHForCausalLM", rules=recurrent.NEMOTRON_H, fill=recurrent.nemotron_h),
    "nemotron_h_moe": Layout(head="NemotronHForCausalLM", rules=recurrent.NEMOTRON_H, fill=recurrent.nemotron_h),
    "nomic-bert": Layout(head="NomicBertModel", rules=encoders.NOMIC, fill=encoders.nomic, absent=("pooler",)),
    "olmo": Layout(head="OlmoForCausalLM", rules=decoders.ROTATED, fill=decoders.olmo),
    "olmo2": decoders.olmo2,
    "olmoe": Layout(head="OlmoeForCausalLM"),
    "paddleocr": Layout(head="PaddleOCRVLForConditionalGeneration", fill=decoders.in_sections(3),
        absent=("model.visual", "model.projector")),
    "phi2": Layout(head="PhiForCausalLM"),
    "phi3": Layout(head="Phi3ForCausalLM", fill=decoders.phi3),
    "phimoe": Layout(head="PhimoeForCausalLM", fill=decoders.phi3),
    "pockettts": Layout(head="PocketTTSModel", rules=parts.POCKET_TTS, fill=parts.pocket_tts, constants=parts.silence,
        absent=("audio_prompt_proj",)),
    "qwen2": Layout(head="Qwen2ForCausalLM"),
    "qwen2moe": Layout(head="Qwen2MoeForCausalLM"),
    "qwen2vl": Layout(head="Qwen2VLForConditionalGeneration", fill=decoders.in_sections(3), absent=("model.visual",)),
    "qwen3": Layout(head="Qwen3ForCausalLM"),
    "qwen35": Layout(head="Qwen3_5ForCausalLM", rules=QWEN3_5, fill=recurrent.delta),
    "qwen35moe": Layout(head="Qwen3_5MoeForCausalLM", rules=QWEN3_5, fill=recurrent.delta),
    "qwen3moe": Layout(head="Qwen3MoeForCausalLM", fixed={"norm_topk_prob": True}),
    "qwen3next": Layout(head="Qwen3NextForCausalLM", rules=QWEN3_NEXT, fill=recurrent.delta),
    "qwen3vl": Layout(head="Qwen3VLForConditionalGeneration", absent=("model.visual",)),
    "qwen3vlmoe": Layout(head="Qwen3VLMoeForConditionalGeneration", absent=("model.visual",)),
    "qwen4exp": Layout(head="Qwen4ExpForCausalLM", rules=hyper.QWEN4, fill=hyper.qwen4, constants=hyper.hashes),
    "seed_oss": Layout(head="SeedOssForCausalLM"),
    "smollm3": Layout(head="SmolLM3ForCausalLM", rules=decoders.ROTATED, fill=decoders.smollm3),
    "stablelm": Layout(head="StableLmForCausalLM", rules=decoders.STABLELM, fill=decoders.stablelm),
    "starcoder": Layout(head="GPTBigCodeForCausalLM"),
    "starcoder2": Layout(head="Starcoder2ForCausalLM", fill=decoders.window_or_none),
    "step35": Layout(head="Step3p7ForConditionalGeneration", rules=gemma.PLUS_ONE, fill=uneven.step,
        absent=("model.vision_model", "model.multi_modal_projector")),
    "t5": encoders.t5,
    "t5encoder": encoders.t5_encoder,
}
"""GGUF architecture -> its layout."""


def layout(source: Source) -> Layout:
    """The layout of a file's architecture."""
    found = LAYOUTS[source.architecture]
    return found if isinstance(found, Layout) else found(source)
