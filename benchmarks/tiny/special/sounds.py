"""Sounds: waves, spectrograms, codes, and what is said of them."""

from __future__ import annotations

import numpy as np

from ..making import TARGET, WAVE, Arguments, Maker, part_of

STEPS = 12


def spoken(maker: Maker) -> Arguments:
    """A text and the spectrogram of a voice."""
    return maker.make("input_ids") | {"input_features": maker.floats(1, maker.config.decoder_config.feature_size, 40)}


def heard(maker: Maker) -> Arguments:
    """A text and a spectrogram as a picture."""
    bands = maker.config.audio_config.num_mel_bins
    return maker.make("input_ids") | {
        "input_features": maker.floats(1, 1, 96, bands), "is_longer": np.zeros((1, 1), dtype=bool),
    }  # fmt: skip


def tuned(maker: Maker) -> Arguments:
    """A text and the codes that sound to it, one row for each codebook."""
    decoder = maker.config.decoder
    books = decoder.num_codebooks * decoder.audio_channels
    codes = maker.generator.integers(0, decoder.vocab_size, size=(books, TARGET))
    found = maker.make("input_ids") | {"decoder_input_ids": codes}
    if "input_features" in maker.names:
        found["input_features"] = maker.floats(1, maker.config.chroma_length, maker.config.num_chroma)
    return found


def coded(maker: Maker) -> Arguments:
    """A wave, and its features for the tower of meaning."""
    semantic = maker.config.semantic_model_config
    stride = int(np.prod(maker.config.downsampling_ratios))
    return {"input_values": maker.floats(1, 1, stride * 16),
            "input_features": maker.floats(1, 16, semantic.feature_projection_input_dim)}  # fmt: skip


def wave(maker: Maker) -> Arguments:
    """A wave that is called hidden states."""
    return {"hidden_states": maker.floats(1, 1, WAVE)}


def latents(maker: Maker) -> Arguments:
    """Latent vectors that are called hidden states."""
    return {"hidden_states": maker.floats(1, maker.config.hidden_size, 8)}


def codes(maker: Maker) -> Arguments:
    """Latent vectors of a sound."""
    return {"latents": maker.floats(1, maker.config.hidden_size, 8)}


def mel(maker: Maker) -> Arguments:
    """Of encoders whose configuration does not say how many bands they hear."""
    return {"input_features": maker.floats(1, 96, 128), "input_features_mask": np.ones((1, 96), dtype=np.int64)}


def windows(maker: Maker) -> Arguments:
    """Whole windows of a spectrogram."""
    frames = 4 * maker.config.n_window
    return {"input_features": maker.floats(1, maker.config.num_mel_bins, frames),
            "input_features_mask": np.ones((1, frames), dtype=np.int64)}  # fmt: skip


def stacked(maker: Maker) -> Arguments:
    """Each band with its change, frames in pairs."""
    return {"input_features": maker.floats(1, 48, 4 * part_of(maker.config, "encoder_config").num_mel_bins)}


def streams(maker: Maker) -> Arguments:
    """A token of text and one of each codebook at every step."""
    config = maker.config
    codes = maker.generator.integers(0, config.codebook_vocab_size - 1, size=(1, STEPS, config.num_codebooks))
    ids = np.concatenate([maker.ids(STEPS)[..., None], codes], -1)
    return {"input_ids": ids, "attention_mask": np.ones((1, STEPS), dtype=np.int64)}


def said(maker: Maker) -> Arguments:
    """A wave and what is taught of it."""
    name = "input_values" if "input_values" in maker.names else "inputs"
    return {name: maker.floats(1, WAVE)} | maker.make("decoder_input_ids")


def clip(maker: Maker) -> Arguments:
    """A text and a wave with one channel."""
    return maker.make("input_ids") | {"input_values": maker.floats(1, 1, WAVE)}


def at_once(maker: Maker) -> Arguments:
    """A token of text to each frame that comes out of the encoder."""
    found = maker.make("input_ids")
    return {name: value[:, :12] for name, value in found.items()} | {
        "input_features": maker.floats(1, maker.config.audio_config.num_mel_bins, 96),
    }
