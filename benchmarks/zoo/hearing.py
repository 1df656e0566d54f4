"""What makes states or words of a sound."""

from __future__ import annotations

from typing import Any

import transformers as hf

from .kind import Made, ids, kind
from .parts import BEGINS, LARGE, sides, words
from .samples import answered, sound, streams, written

FRONT: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16}
FASTCONFORMER = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 18, "num_attention_heads": 8}


@kind(sound, tap="logits")
def wav2vec2_large() -> Made:
    """facebook/wav2vec2-large-960h-lv60-self, whole."""
    return hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**FRONT, **LARGE)), hf.Wav2Vec2FeatureExtractor()


@kind(sound)
def hubert_xlarge() -> Made:
    """facebook/hubert-xlarge-ll60k, 20 of 48 layers."""
    return hf.HubertModel(hf.HubertConfig(num_hidden_layers=20, **HUGE, **FRONT)), hf.Wav2Vec2FeatureExtractor()


@kind(sound)
def wavlm_large() -> Made:
    """microsoft/wavlm-large, whole."""
    config = hf.WavLMConfig(num_buckets=320, max_bucket_distance=800, **FRONT | {"conv_bias": False}, **LARGE)
    return hf.WavLMModel(config), hf.Wav2Vec2FeatureExtractor()


@kind(sound)
def wav2vec2_bert() -> Made:
    """facebook/w2v-bert-2.0, 18 of 24 layers."""
    return hf.Wav2Vec2BertModel(hf.Wav2Vec2BertConfig(num_hidden_layers=18)), hf.SeamlessM4TFeatureExtractor()


@kind(sound, answered)
def whisper_large_v3() -> Made:
    """openai/whisper-large-v3, 12 of 32 layers that hear and 6 of 32 that write."""
    shape = sides(attention_heads=20, ffn_dim=5120) | {"encoder_layers": 12, "decoder_layers": 6}
    config = hf.WhisperConfig(vocab_size=51866, d_model=1280, num_mel_bins=128, **shape, **BEGINS)
    return hf.WhisperForConditionalGeneration(config), hf.WhisperFeatureExtractor(feature_size=128), words()


@kind(sound)
def ast() -> Made:
    """MIT/ast-finetuned-audioset-10-10-0.4593, as wide as HuBERT XL and 14 layers deep."""
    return hf.ASTForAudioClassification(hf.ASTConfig(num_hidden_layers=14, **HUGE)), hf.ASTFeatureExtractor()


@kind(sound, tap="logits")
def parakeet_ctc() -> Made:
    """nvidia/parakeet-ctc-0.6b, 18 of 24 layers."""
    text = words(named={"blank_token": "<blank>"})
    config = hf.ParakeetCTCConfig(vocab_size=1025, encoder_config=FASTCONFORMER, pad_token_id=0)
    extractor = hf.ParakeetFeatureExtractor()
    return hf.ParakeetForCTC(config), hf.ParakeetProcessor(extractor, text)


@kind(sound, answered, tap="logits")
def parakeet_tdt() -> Made:
    """nvidia/parakeet-tdt-0.6b-v3, 18 of 24 layers, with fewer words."""
    text = words(named={"blank_token": "<blank>"})
    heard = FASTCONFORMER | {"num_mel_bins": 128}
    marks = ids(text, {"blank_token_id": "<blank>"})
    config = hf.ParakeetTDTConfig(vocab_size=len(text), encoder_config=heard, pad_token_id=0, **marks)
    extractor = hf.ParakeetFeatureExtractor(feature_size=128)
    return hf.ParakeetForTDT(config), hf.ParakeetProcessor(extractor, text, decoder_type="tdt")


@kind(sound, answered)
def seamless_heard() -> Made:
    """facebook/seamless-m4t-v2-large, sound to text: 8 of 24 layers that hear and 4 of 24 that write."""
    return _seamless(hf.SeamlessM4Tv2ForSpeechToText)


@kind(written)
def seamless_read() -> Made:
    """facebook/seamless-m4t-v2-large, text to text: 4 of 24 layers on either side."""
    return _seamless(hf.SeamlessM4Tv2ForTextToText)


def _seamless(model: Any) -> Made:
    shape = {"encoder_layers": 4, "decoder_layers": 4, "speech_encoder_layers": 8, "hidden_size": 1024}
    config = hf.SeamlessM4Tv2Config(vocab_size=256102, t2u_encoder_layers=2, t2u_decoder_layers=2, **shape, **BEGINS)
    return model(config), hf.SeamlessM4TFeatureExtractor(), words()


@kind(streams, tap="logits")
def kyutai_stt() -> Made:
    """kyutai/stt-1b-en_fr-trfs, 6 of 16 layers: its forward takes codes."""
    config = hf.KyutaiSpeechToTextConfig(
        hidden_size=2048, num_hidden_layers=6, num_attention_heads=16, num_key_value_heads=16, ffn_dim=11264,
        vocab_size=8001, codebook_vocab_size=2049, num_codebooks=32,
    )  # fmt: skip
    extractor = hf.KyutaiSpeechToTextFeatureExtractor(sampling_rate=24000)
    return hf.KyutaiSpeechToTextForConditionalGeneration(config), words(), extractor
