"""Recognition of speech, codecs, and speech synthesis that transformers has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from .parts import DECODER, ENDS, SMALL, jittered, renamed, save, sounds, texts, token, tokenizer
from .tiny import Tiny

MIMI = {
    "hidden_size": 32, "num_filters": 4, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4,
    "head_dim": 8, "intermediate_size": 48, "codebook_size": 32, "codebook_dim": 16, "num_quantizers": 4,
    "vector_quantization_hidden_dimension": 16, "num_semantic_quantizers": 1, "upsampling_ratios": [4, 4, 2],
    "upsample_groups": 32, "sliding_window": 16, "max_position_embeddings": 64, "sampling_rate": 24000,
    "frame_rate": 375.0,
}  # fmt: skip
VIBE_RATE, VIBE_HOP = 24000, 16


def whisper(folder: Path) -> None:
    """Encoder and decoder of Whisper."""
    torch.manual_seed(0)
    shape = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4,
             "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}  # fmt: skip
    config = hf.WhisperConfig(vocab_size=DECODER["vocab_size"], num_mel_bins=16, max_source_positions=50,
                              max_target_positions=32, decoder_start_token_id=0, **shape, **ENDS)  # fmt: skip
    extractor = hf.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    save(folder, jittered(hf.WhisperForConditionalGeneration(config)), extractor, tokenizer())


def parakeet(folder: Path) -> None:
    """A transducer: encoder, prediction network, joint network."""
    torch.manual_seed(0)
    encoder = {**SMALL, "conv_kernel_size": 5, "subsampling_conv_channels": 8, "num_mel_bins": 16,
               "max_position_embeddings": 64, "layerdrop": 0.0}  # fmt: skip
    words = tokenizer({"blank_token": "<blank>"})
    config = hf.ParakeetTDTConfig(
        vocab_size=len(words),
        decoder_hidden_size=16,
        num_decoder_layers=2,
        encoder_config=encoder,
        pad_token_id=1,
        blank_token_id=token(words, "<blank>"),
    )
    extractor = hf.ParakeetFeatureExtractor(feature_size=16)
    save(folder, jittered(hf.ParakeetForTDT(config)), hf.ParakeetProcessor(extractor, words, decoder_type="tdt"))


def vibevoice(folder: Path) -> None:
    """Two encoders of sound before a Qwen2 decoder."""
    torch.manual_seed(0)
    sound = {"num_filters": 4, "downsampling_ratios": [2, 2, 4], "depths": [1, 1, 1, 1], "ffn_expansion": 2}
    marks = {"audio_token": "<|box_start|>", "audio_bos_token": "<|object_ref_start|>",
             "audio_eos_token": "<|object_ref_end|>", "audio_duration_token": "<|AUDIO_DURATION|>"}  # fmt: skip
    words = tokenizer(marks)
    config = hf.VibeVoiceAsrConfig(
        acoustic_tokenizer_encoder_config={
            "model_type": "vibevoice_acoustic_tokenizer_encoder",
            "hidden_size": 8,
            **sound,
        },
        semantic_tokenizer_encoder_config={
            "model_type": "vibevoice_acoustic_tokenizer_encoder",
            "hidden_size": 12,
            **sound,
        },
        text_config={"model_type": "qwen2", **DECODER, **ENDS},
        acoustic_tokenizer_chunk_size=VIBE_HOP * 100,
        **{f"{name}_id": token(words, marks[name]) for name in ("audio_token", "audio_bos_token", "audio_eos_token")},
    )
    extractor = hf.VibeVoiceAcousticTokenizerFeatureExtractor(sampling_rate=VIBE_RATE)
    processor = hf.VibeVoiceAsrProcessor(extractor, words)
    save(folder, jittered(hf.VibeVoiceAsrForConditionalGeneration(config)), processor)


def mimi(folder: Path) -> None:
    """Mimi: convolutions, a transformer on each side, split residual vector quantisation."""
    torch.manual_seed(0)
    model = jittered(hf.MimiModel(hf.MimiConfig(**MIMI)))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("embed_sum"):
                buffer.normal_()
    save(folder, model, hf.EncodecFeatureExtractor(sampling_rate=24000))


def encodec(folder: Path) -> None:
    """EnCodec."""
    torch.manual_seed(0)
    config = hf.EncodecConfig(target_bandwidths=[24.0], num_filters=4, hidden_size=16, codebook_size=16,
                              upsampling_ratios=[4, 2], num_lstm_layers=1)  # fmt: skip
    save(folder, jittered(hf.EncodecModel(config)), hf.EncodecFeatureExtractor(sampling_rate=24000))
    renamed(
        folder, {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    )


def dac(folder: Path) -> None:
    """DAC."""
    torch.manual_seed(0)
    config = hf.DacConfig(encoder_hidden_size=8, downsampling_ratios=[2, 4], decoder_hidden_size=32, n_codebooks=2,
                          codebook_size=16, codebook_dim=4, upsampling_ratios=[4, 2], sampling_rate=44100)  # fmt: skip
    save(folder, jittered(hf.DacModel(config)), hf.DacFeatureExtractor(sampling_rate=44100, hop_length=8))


def vits(folder: Path) -> None:
    """VITS, its noise switched off: it draws otherwise."""
    torch.manual_seed(0)
    config = hf.VitsConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, ffn_dim=24, flow_size=16,
        spectrogram_bins=9, prior_encoder_num_flows=2, prior_encoder_num_wavenet_layers=1, wavenet_dilation_rate=1,
        posterior_encoder_num_wavenet_layers=1, duration_predictor_num_flows=2, depth_separable_num_layers=1,
        upsample_initial_channel=16, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], noise_scale=0.0, noise_scale_duration=0.0,
    )  # fmt: skip
    letters = {letter: number for number, letter in enumerate(" abcdefghijklmnopqrstuvwxyz.;,'|=[]0123")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "letters.json").write_text(__import__("json").dumps(letters), encoding="utf-8")
    words = hf.VitsTokenizer(str(folder / "letters.json"), **{"pad_token": " ", "unk_token": "|"}, phonemize=False)
    (folder / "letters.json").unlink()
    save(folder, jittered(hf.VitsModel(config)), words)


def csm(folder: Path) -> None:
    """A language model of Mimi's codes with a second one in depth."""
    torch.manual_seed(0)
    depth = {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 33, "num_codebooks": 4,
             "backbone_hidden_size": 32, "max_position_embeddings": 5}  # fmt: skip
    small = {**MIMI, "num_quantizers": 4, "codebook_size": 32, "model_type": "mimi"}
    config = hf.CsmConfig(**SMALL, num_key_value_heads=2, head_dim=8, vocab_size=33, text_vocab_size=320,
                          num_codebooks=4, max_position_embeddings=64, depth_decoder_config=depth, bos_token_id=0,
                          pad_token_id=1, codebook_pad_token_id=32, codebook_eos_token_id=0, audio_token_id=5,
                          audio_eos_token_id=6, codec_config=small)  # fmt: skip
    save(folder, jittered(hf.CsmForConditionalGeneration(config)), tokenizer(),
         hf.EncodecFeatureExtractor(sampling_rate=24000))  # fmt: skip


def _spoken(length: int, rate: int = 16000, **more: str) -> Any:
    return partial(sounds, length, rate, 2, **more)


ROWS = (
    Tiny(name="parakeet-tdt-0-6b", stands_for="nvidia/parakeet-tdt-0.6b-v3", build=parakeet,
         samples=_spoken(4000, target="x = [1, 2]"), checked="transducer with its prediction and joint networks",
         absent="written here by transformers' own format; NeMo's archive (.nemo) is not read"),
    Tiny(name="whisper-large-v3", stands_for="openai/whisper-large-v3", build=whisper, quick=True,
         samples=_spoken(8000, target="x = [1, 2]"), checked="WhisperFeatureExtractor, teacher-forced decoder"),
    Tiny(name="vibevoice-asr", stands_for="microsoft/VibeVoice-ASR-HF", build=vibevoice,
         samples=_spoken(VIBE_HOP * 20, VIBE_RATE, text="<|object_ref_start|><|box_start|><|object_ref_end|>"),
         checked="audio tokens through VibeVoiceAsrProcessor, noise pinned"),
    Tiny(name="mimi", stands_for="kyutai/mimi", build=mimi, samples=partial(sounds, 2048, 24000)),
    Tiny(name="encodec-24khz", stands_for="facebook/encodec_24khz", build=encodec, samples=partial(sounds, 512, 24000),
         checked="norms of weights apart, as the published file has them",
         absent="no stack: its layers differ in kind, so its end alone is observed"),
    Tiny(name="dac-44khz", stands_for="descript/dac_44khz", build=dac, samples=partial(sounds, 512, 44100)),
    Tiny(name="mms-tts", stands_for="facebook/mms-tts-eng", build=vits, samples=lambda: texts()[:1], card=False,
         checked="noise off"),
    Tiny(name="csm-1b", stands_for="sesame/csm-1b", build=csm, samples=texts, card=False,
         checked="the backbone on text", silent=("depth_decoder.", "codec_model."),
         absent="the stack over codes and the codec, which run when it speaks"),
)  # fmt: skip
