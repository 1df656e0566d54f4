"""Random checkpoints as they are stored: `python stored.py FOLDER HOW LAYERS`, in a process of its own, so that what
writing takes is gone.

HOW: float32 or bfloat16 (a Llama), tied (a Qwen2 whose embedding of 152,000 words is its head, half of it all),
encoders (a T5), sound (a Wav2Vec2), spectra (a Whisper), disentangled (a DeBERTa, whose attention has no kernel),
pictures (a LLaVA), grids (a Qwen2-VL), towers (SigLIP's, whose pooling turns its states), films (a VideoMAE in
float32), words (a BERT that gives scores of hidden words), scans (a Mamba), sd3, flux, sdxl, svd (`pipelines`), experts
(Qwen3-MoE in bfloat16), mxfp4 (gpt-oss: experts of four bits, an exponent for every 32), fp8 (Qwen3-MoE: experts and
attention of eight bits, a scale for every 128 x 128).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TOKENS, LONGEST, VOCABULARY, WIDTH, BLOCK, MANY = 64, 4096, 8192, 1024, 128, 151_936
SIDE, PATCH, PLACE, LARGER = 336, 14, 257, 512
"""Pixels of a picture's side and of a patch's; the token that stands for a picture: the first behind those of bytes."""
PIPELINES = ("sd3", "flux", "sdxl", "svd")
"""Those of diffusers, which have layers of their own."""
LAYERS = dict.fromkeys(PIPELINES, 0) | {
    "float32": 24, "bfloat16": 24, "tied": 12, "encoders": 12, "sound": 16, "pictures": 18, "towers": 18, "grids": 16,
    "films": 12, "words": 24, "spectra": 12, "disentangled": 24,
    "scans": 40, "experts": 10, "mxfp4": 10, "fp8": 10,
}  # fmt: skip
PACKED = {
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.embed_tokens", "lm_head", "self_attn"]},
    "fp8": {
        "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic",
        "modules_to_not_convert": ["lm_head"],
    },
}  # fmt: skip


def main(home: Path, how: str, layers: int) -> None:
    """Weights, configuration and tokenizer; a layer's weights in memory at a time."""
    import torch
    from safetensors.torch import save_file

    if how in PIPELINES:
        from pipelines import save

        save(home, how)
        return
    home.mkdir(parents=True)
    torch.manual_seed(0)
    model = empty(how, layers)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(home)
    parts: dict[str, dict[str, Any]] = {}
    once = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}            # tied weights once
    for name, each in ((name, each) for name, each in model.state_dict().items() if name in once):
        parts.setdefault(".".join(name.split(".")[:3]) if ".layers." in name else "rest", {})[name] = each
    index: dict[str, str] = {}
    for number, shapes in enumerate(parts.values()):
        file = f"model-{number:05d}.safetensors"
        stored = {key: each for name, like in shapes.items() for key, each in written(name, like, how)}
        save_file(stored, home / file, metadata={"format": "pt"})
        index |= dict.fromkeys(stored, file)
    (home / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    if how in PACKED:
        config = json.loads((home / "config.json").read_text())
        (home / "config.json").write_text(json.dumps(config | {"quantization_config": PACKED[how]}))
    save_preprocessor(home, how)


def save_preprocessor(home: Path, how: str) -> None:
    """What makes tensors of samples."""
    import transformers as hf

    if how == "spectra":
        hf.WhisperFeatureExtractor(feature_size=128).save_pretrained(home)
    if how == "sound":
        hf.Wav2Vec2FeatureExtractor().save_pretrained(home)
    elif how in ("pictures", "grids"):
        save_processor(home, how)
    elif how == "towers":
        hf.SiglipImageProcessorPil(size={"height": LARGER, "width": LARGER}).save_pretrained(home)
    elif how == "films":
        hf.VideoMAEImageProcessorPil().save_pretrained(home)
    else:
        save_tokenizer(home)


def empty(how: str, layers: int) -> Any:  # noqa: C901
    """The model without weights."""
    import torch
    import transformers as hf

    common: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": layers, "num_attention_heads": 16,
        "max_position_embeddings": LONGEST, "dtype": "float32" if how == "float32" else "bfloat16",
    }  # fmt: skip
    routed = common | {"num_key_value_heads": 4, "head_dim": 64, "num_experts_per_tok": 4}
    with torch.device("meta"):
        if how in ("films", "words", "disentangled", "spectra"):
            return empty_encoder(how, layers)
        if how == "mxfp4":
            config = hf.GptOssConfig(intermediate_size=1024, num_local_experts=32, pad_token_id=0, **routed)
            return hf.GptOssForCausalLM(config).to(torch.bfloat16)
        if how in ("fp8", "experts"):
            count = 32 if how == "fp8" else 16
            config = hf.Qwen3MoeConfig(intermediate_size=2048, moe_intermediate_size=512, num_experts=count, **routed)
            return hf.Qwen3MoeForCausalLM(config).to(torch.bfloat16)
        if how == "tied":
            few = {"num_key_value_heads": 4, "vocab_size": MANY, "tie_word_embeddings": True}
            return hf.Qwen2ForCausalLM(hf.Qwen2Config(intermediate_size=2816, **common | few)).to(torch.bfloat16)
        if how == "encoders":
            sizes = {"d_model": WIDTH, "d_kv": 64, "d_ff": 2816, "num_layers": layers, "num_heads": 16}
            names = {"vocab_size": 32_128, "feed_forward_proj": "gated-gelu", "decoder_start_token_id": 0}
            return hf.T5ForConditionalGeneration(hf.T5Config(**sizes, **names)).to(torch.bfloat16)
        if how == "sound":
            front = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
            sizes = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": layers}
            return hf.Wav2Vec2Model(hf.Wav2Vec2Config(num_attention_heads=16, **sizes, **front)).to(torch.bfloat16)
        if how == "towers":
            sizes = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": layers}
            config = hf.SiglipVisionConfig(num_attention_heads=16, image_size=LARGER, patch_size=16, **sizes)
            return hf.SiglipVisionModel(config).to(torch.bfloat16)
        if how == "scans":
            config = hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=layers)
            return hf.MambaForCausalLM(config).to(torch.bfloat16)
        if how == "grids":
            more = {"num_key_value_heads": 4, "intermediate_size": 4096, "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]}}  # fmt: skip
            seen = {"depth": 12, "embed_dim": 1024, "hidden_size": WIDTH, "num_heads": 16}
            names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
            marks = {name: PLACE + at for at, name in enumerate(names)}
            return hf.Qwen2VLForConditionalGeneration(
                hf.Qwen2VLConfig(text_config=common | more, vision_config=seen, dtype="bfloat16", **marks)
            ).to(torch.bfloat16)
        if how == "pictures":
            tower = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
            seen = hf.CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **tower)
            text = hf.LlamaConfig(intermediate_size=4096, num_key_value_heads=4, **common)
            return hf.LlavaForConditionalGeneration(
                hf.LlavaConfig(vision_config=seen, text_config=text, image_token_index=PLACE, dtype="bfloat16")
            ).to(torch.bfloat16)
        config = hf.LlamaConfig(intermediate_size=2816, num_key_value_heads=16, **common)
        return hf.LlamaForCausalLM(config).to(getattr(torch, how))


def empty_encoder(how: str, layers: int) -> Any:
    """Of films, or of words."""
    import torch
    import transformers as hf

    sizes: dict[str, Any] = {"intermediate_size": 4096, "num_hidden_layers": layers, "num_attention_heads": 16}
    if how == "films":
        return hf.VideoMAEForVideoClassification(hf.VideoMAEConfig(hidden_size=WIDTH, **sizes))
    if how == "disentangled":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
        config = hf.DebertaV2Config(hidden_size=WIDTH, vocab_size=VOCABULARY, **sizes)
        return hf.DebertaV2ForSequenceClassification(config).to(torch.bfloat16)
    if how == "spectra":
        many = {f"{side}_{name}": each for side, count in (("encoder", layers), ("decoder", layers // 2))
                for name, each in (("layers", count), ("attention_heads", 20), ("ffn_dim", 5120))}  # fmt: skip
        marks = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
        config = hf.WhisperConfig(d_model=1280, num_mel_bins=128, vocab_size=VOCABULARY, **many, **marks)
        return hf.WhisperForConditionalGeneration(config).to(torch.bfloat16)
    return hf.BertForMaskedLM(hf.BertConfig(hidden_size=WIDTH, **sizes)).to(torch.bfloat16)


def written(name: str, like: Tensor, how: str) -> Iterator[tuple[str, Tensor]]:
    """The stored tensors of a weight."""
    import torch

    if how == "mxfp4" and name.endswith(("experts.gate_up_proj", "experts.down_proj")):
        experts, inputs, outputs = like.shape
        shape = (experts, outputs, inputs // 32)
        yield f"{name}_blocks", torch.randint(256, (*shape, 16), dtype=torch.uint8)
        yield f"{name}_scales", torch.randint(118, 121, shape, dtype=torch.uint8)
    elif name.endswith("experts.gate_up_proj"):
        for expert in range(like.shape[0]):
            for half in ("gate_proj", "up_proj"):
                rows = like.shape[1] // 2
                yield from expert_of(f"{name.removesuffix('gate_up_proj')}{expert}.{half}", rows, like.shape[2], how)
    elif name.endswith("experts.down_proj"):
        for expert in range(like.shape[0]):
            yield from expert_of(f"{name.removesuffix('down_proj')}{expert}.down_proj", *like.shape[1:], how)
    elif how == "fp8" and name.endswith("proj.weight"):
        yield from eight_bits(name.removesuffix(".weight"), *like.shape)
    else:
        made = torch.empty(like.shape, dtype=like.dtype)
        yield name, made.fill_(1.0) if "norm" in name else made.normal_(std=0.02)


def expert_of(name: str, rows: int, columns: int, how: str) -> Iterator[tuple[str, Tensor]]:
    """A matrix of one expert."""
    import torch

    if how == "fp8":
        yield from eight_bits(name, rows, columns)
    else:
        yield f"{name}.weight", torch.empty(rows, columns, dtype=torch.bfloat16).normal_(std=0.02)


def eight_bits(name: str, rows: int, columns: int) -> Iterator[tuple[str, Tensor]]:
    """A matrix of float8 and the scales of its blocks."""
    import torch

    yield f"{name}.weight", torch.randn(rows, columns).to(torch.float8_e4m3fn)
    yield f"{name}.weight_scale_inv", torch.full((-(-rows // BLOCK), -(-columns // BLOCK)), 0.02)


def save_processor(home: Path, how: str = "pictures") -> None:
    """LLaVA's, of CLIP's pictures and bytes; Qwen2-VL's, which leaves pictures their size."""
    import transformers as hf

    words = tokenizer()
    if how == "grids":
        marks = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
        words.add_special_tokens({"additional_special_tokens": marks})
        hf.Qwen2VLImageProcessorPil().save_pretrained(home)
        words.save_pretrained(home)
        return
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    whole = {"height": SIDE, "width": SIDE}
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=whole)
    more = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    hf.LlavaProcessor(pictures, words, **more).save_pretrained(home)


def save_tokenizer(home: Path) -> None:
    """Bytes."""
    tokenizer().save_pretrained(home)


def tokenizer() -> Any:
    """Of bytes."""
    import transformers as hf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 1)}
    inner = Tokenizer(models.BPE({"<s>": 0, **letters}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    ends = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<s>")
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, **ends)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
