"""What speaks or plays."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import words
from .samples import read

T5_BASE = {"vocab_size": 32128, "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12}


@kind(read)
def musicgen_small() -> Made:
    """facebook/musicgen-small, whole."""
    played = hf.MusicgenDecoderConfig(hidden_size=1024, num_hidden_layers=24, ffn_dim=4096, num_attention_heads=16)
    config = hf.MusicgenConfig(
        text_encoder=hf.T5Config(**T5_BASE).to_dict(), decoder=played.to_dict(),
        audio_encoder=hf.EncodecConfig(sampling_rate=32000).to_dict(),
    )  # fmt: skip
    return hf.MusicgenForConditionalGeneration(config), words()


@kind(read)
def bark() -> Made:
    """suno/bark, 10 of 24 layers of each of its three."""
    each = {"hidden_size": 1024, "num_layers": 10, "num_heads": 16}
    config = hf.BarkConfig(
        semantic_config=each | {"input_vocab_size": 129600, "output_vocab_size": 10048},
        coarse_acoustics_config=each | {"input_vocab_size": 12096, "output_vocab_size": 12096},
        fine_acoustics_config=each | {"input_vocab_size": 1056, "output_vocab_size": 1056},
        codec_config=hf.EncodecConfig().to_dict(),
    )  # fmt: skip
    return hf.BarkModel(config), words()


@kind(read)
def csm_1b() -> Made:
    """sesame/csm-1b, 3 of 16 layers in time; all 4 in depth."""
    depth = {"hidden_size": 1024, "intermediate_size": 8192, "num_hidden_layers": 4, "num_attention_heads": 8,
             "num_key_value_heads": 2, "head_dim": 128, "backbone_hidden_size": 2048, "vocab_size": 2051,
             "num_codebooks": 32}  # fmt: skip
    config = hf.CsmConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=3, num_attention_heads=32, num_key_value_heads=8,
        head_dim=64, text_vocab_size=128256, vocab_size=2051, num_codebooks=32, depth_decoder_config=depth,
    )  # fmt: skip
    extractor = hf.EncodecFeatureExtractor(sampling_rate=24000)
    return hf.CsmForConditionalGeneration(config), words(), extractor
