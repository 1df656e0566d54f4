"""What a forward over a sound or a picture has at one time, where no configuration says how large its states are."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from nexus_torch.hugging_face.inputs.passing import passing
from nexus_torch.skeleton import without_weights


def bare(kind: type[Any], config: Any) -> Any:
    with without_weights():
        return kind(config)


def sound(samples: int) -> dict[str, Any]:
    return {"input_values": torch.zeros(1, 1, samples), "padding_mask": torch.ones(1, samples, dtype=torch.long)}


def test_codecs_say_by_their_own_code_what_a_sound_takes() -> None:
    """Their states were taken for some at 50 Hz: of DAC 821 MB were predicted where 1308 were taken."""
    dac = hf.DacConfig(encoder_hidden_size=8, decoder_hidden_size=32, hidden_size=64, sampling_rate=16000)
    encodec = hf.EncodecConfig(num_filters=8, hidden_size=32, codebook_dim=32)
    mimi = hf.MimiConfig(
        num_filters=8, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, codebook_dim=32, vector_quantization_hidden_dimension=32, num_quantizers=4,
        num_semantic_quantizers=1, codebook_size=16, upsample_groups=64,
    )  # fmt: skip
    for kind, config in ((hf.DacModel, dac), (hf.EncodecModel, encodec), (hf.MimiModel, mimi)):
        given = [sound(samples) for samples in (9600, 19200)]
        for each in given:
            if kind is hf.DacModel:
                del each["padding_mask"]
        short, long = (passing(bare(kind, config), each) for each in given)
        assert short > 3 * 9600 * 8, kind
        assert 1.8 * short < long < 2.2 * short, kind


def test_a_convolution_has_what_it_makes_twice() -> None:
    module = torch.nn.Conv1d(1, 4, 3, padding=1, device="meta")
    assert passing(module, {"input": torch.zeros(1, 1, 100)}) == 2 * 400


def test_what_needs_numbers_says_nothing() -> None:
    class Asking(torch.nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given[: int(given.sum())]

    assert passing(Asking(), {"given": torch.ones(4)}) == 0
