"""Language models that hear."""

from __future__ import annotations

from typing import Any

import transformers as hf

from .kind import Made, ids, kind
from .parts import ENDS, words
from .samples import after, sound, sound_24, spectra

NARROW: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 10, "num_attention_heads": 16,
    "num_key_value_heads": 8, **ENDS,
}  # fmt: skip
WHISPER = {"num_mel_bins": 128}
VIBE = {"audio_token": "<|box_start|>", "audio_bos_token": "<|object_ref_start|>",
        "audio_eos_token": "<|object_ref_end|>", "audio_duration_token": "<|AUDIO_DURATION|>"}  # fmt: skip
VOXTRAL = "[AUDIO]"
PLACE = 257
"""The first token behind those of bytes."""


@kind(sound, after("<|audio_bos|><|AUDIO|><|audio_eos|>"))
def qwen2_audio() -> Made:
    """Qwen/Qwen2-Audio-7B, 10 of 32 layers that hear and 10 of 32 that write, those a quarter as wide."""
    named = {"audio_token": "<|AUDIO|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
    tokens = words(named=named)
    heard = WHISPER | {"d_model": 1280, "encoder_layers": 10, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120}
    text = NARROW | {"model_type": "qwen2", "vocab_size": 156032}
    marks = ids(tokens, {"audio_token_index": "<|AUDIO|>"})
    config = hf.Qwen2AudioConfig(audio_config=heard, text_config=text, **marks)
    processor = hf.Qwen2AudioProcessor(hf.WhisperFeatureExtractor(feature_size=128), tokens)
    return hf.Qwen2AudioForConditionalGeneration(config), processor


@kind(spectra(PLACE, 375, 128, 3000), tap="logits")
def voxtral() -> Made:
    """mistralai/Voxtral-Mini-3B-2507, 10 of 32 layers that hear and 10 of 30 that write, those a third as wide."""
    tokens = words(named={"audio_token": VOXTRAL})
    heard = WHISPER | {"hidden_size": 1280, "num_hidden_layers": 10, "num_attention_heads": 20,
                       "intermediate_size": 5120}  # fmt: skip
    text = NARROW | {"model_type": "llama", "vocab_size": 131072, "head_dim": 64}
    config = hf.VoxtralConfig(audio_config=heard, text_config=text, **ids(tokens, {"audio_token_id": VOXTRAL}))
    return hf.VoxtralForConditionalGeneration(config), tokens, hf.WhisperFeatureExtractor(feature_size=128)


@kind(spectra(PLACE, 102, 500, 160), tap="logits")
def granite_speech() -> Made:
    """ibm-granite/granite-speech-3.3-2b, 8 of 16 layers that hear and 4 of 40 that write. Its extractor needs
    torchaudio: tensors are shown."""
    tokens = words(named={"audio_token": "<|audio|>"})
    heard = {"hidden_dim": 1024, "num_layers": 8, "num_heads": 8, "dim_head": 128, "output_dim": 42}
    text = {"model_type": "granite", "vocab_size": 49160, "hidden_size": 2048, "intermediate_size": 8192,
            "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 8, **ENDS}  # fmt: skip
    between = {"model_type": "blip_2_qformer", "hidden_size": 1024, "encoder_hidden_size": 1024,
               "num_hidden_layers": 2, "num_attention_heads": 16, "intermediate_size": 4096}  # fmt: skip
    config = hf.GraniteSpeechConfig(
        encoder_config=heard, text_config=text, projector_config=between, has_lora_adapter=False,
        **ids(tokens, {"audio_token_index": "<|audio|>"}),
    )  # fmt: skip
    return hf.GraniteSpeechForConditionalGeneration(config), tokens


@kind(sound_24, after("<|object_ref_start|><|box_start|><|object_ref_end|>"))
def vibevoice_asr() -> Made:
    """microsoft/VibeVoice-ASR, 10 of 28 layers that write, those a third as wide."""
    tokens = words(named=VIBE)
    text = NARROW | {"model_type": "qwen2", "vocab_size": 152064, "tie_word_embeddings": False}
    heard = ("audio_token", "audio_bos_token", "audio_eos_token")
    marks = ids(tokens, {f"{name}_id": VIBE[name] for name in heard})
    extractor = hf.VibeVoiceAcousticTokenizerFeatureExtractor(sampling_rate=24000)
    model = hf.VibeVoiceAsrForConditionalGeneration(hf.VibeVoiceAsrConfig(text_config=text, **marks))
    return model, hf.VibeVoiceAsrProcessor(extractor, tokens)
