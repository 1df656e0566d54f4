"""Models made of models: which part runs, which part reads text, which layers are a stack, whose a shared weight is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Extent, Installed, Sample, Tap
from nexus_torch.hugging_face.blueprint import divide
from nexus_torch.hugging_face.configuration.classes import takes
from nexus_torch.hugging_face.configuration.reading import build_config, text_part
from nexus_torch.stacks import stacks
from torch import nn
from transformers import MusicgenForConditionalGeneration, OneFormerModel

SOUNDS = {"num_codebooks": 4, "vocab_size": 16, "pad_token_id": 16, "bos_token_id": 16}
SMALL = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "input_vocab_size": 50, "output_vocab_size": 50}
MUSICGEN: dict[str, Any] = {
    "model_type": "musicgen",
    "architectures": ["MusicgenForConditionalGeneration"],
    "text_encoder": {"model_type": "t5", "d_model": 32, "d_ff": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16},
    "audio_encoder": {"model_type": "encodec", "num_filters": 2, "hidden_size": 16, "codebook_size": 16},
    "decoder": {"hidden_size": 32, "num_hidden_layers": 2, "ffn_dim": 32, "num_attention_heads": 2},
}


def inspected(values: dict[str, Any], folder: Path) -> Any:
    (folder / "config.json").write_text(json.dumps(values))
    return Transformers().inspect(str(folder))


def test_of_two_configurations_of_text_the_decoders_counts(tmp_path: Path) -> None:
    config = build_config(MUSICGEN, "config.json")
    with pytest.raises(ValueError, match="ambiguous"):
        config.get_text_config()
    assert text_part(config) is config.decoder
    found = inspected(MUSICGEN, tmp_path)
    assert (found.head, found.gives) == ("MusicgenForConditionalGeneration", ("audio",))


def test_a_model_without_a_forward_runs_as_the_part_that_thinks(tmp_path: Path) -> None:
    parts = {f"{name}_config": SMALL for name in ("semantic", "coarse_acoustics", "fine_acoustics")}
    found = inspected({"model_type": "bark", "architectures": ["BarkModel"], **parts}, tmp_path)
    assert found.head == "BarkSemanticModel"
    assert [(stack.path, stack.count) for stack in found.stacks] == [("layers", 2)]


def test_codebooks_are_one_samples_side_by_side(tmp_path: Path, words: Any) -> None:
    """A decoder of codes takes a row for each codebook; what is observed is one value a sample."""
    config = build_config(MUSICGEN | {"decoder": MUSICGEN["decoder"] | SOUNDS}, "x")
    torch.manual_seed(0)
    MusicgenForConditionalGeneration(config).save_pretrained(tmp_path)
    words().save_pretrained(tmp_path)
    samples = [Sample(key=text, fields={"text": text}) for text in ("a drum", "two of them")]
    pieces: list[Any] = []
    sink = SimpleNamespace(put=pieces.append, flush=lambda: None)
    checkpoint = Transformers().open(str(tmp_path), Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.observe(samples, [Tap(path="output"), Tap(path="decoder.model.decoder.layers.1")], sink)
    assert {(piece.tap, len(piece.keys), len(piece.values)) for piece in pieces} == {
        ("output", 2, 2), ("decoder.model.decoder.layers.1", 2, 2)
    }  # fmt: skip
    assert [value.shape[0] for piece in pieces if piece.tap == "output" for value in piece.values] == [4, 4]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen3VLVisionModel", ("image", "video")), ("Idefics3VisionTransformer", ("image",)),
        ("Exaone4_5_VisionModel", ("image",)), ("ImageGPTModel", ("image",)), ("PeAudioModel", ("text", "audio")),
        ("Qwen3VLTextModel", ("text",)), ("Gemma3ForConditionalGeneration", ("image", "text")),
        ("CLIPModel", ("image", "text")), ("BertModel", ("text",)), ("WhisperForConditionalGeneration", ("audio",)),
    ],
)  # fmt: skip
def test_what_goes_in_is_what_the_forward_takes(name: str, expected: tuple[str, ...]) -> None:
    """Every class inherits "text" and `input_ids`, also one that has no such argument."""
    assert takes(getattr(transformers, name)) == expected


def test_several_main_inputs_are_no_trouble() -> None:
    assert isinstance(OneFormerModel.main_input_name, list)
    assert takes(OneFormerModel) == ("image",)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.bias = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)


class Shared(nn.Module):
    """Three layers, one of which shares a weight with what stands outside; beside them a list with a gap."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.outside = nn.Linear(4, 4, bias=False)
        self.outside.weight = self.layers[0].bias.weight
        self.gaps = nn.ModuleList([nn.Linear(4, 4), None])


def test_a_list_with_a_gap_is_no_stack() -> None:
    assert list(stacks(Shared())) == ["layers"]


def test_a_weight_that_one_outside_shares_is_no_layers() -> None:
    names = {"a": "layers.0.bias.weight", "b": "layers.1.bias.weight", "c": "outside.weight"}
    found = {key: Extent(key=key, dtype="F32", shape=(4, 4), file="x", start=0, stop=64) for key in names}
    parts = divide(Shared(), found, {key: (name, None) for key, name in names.items()})
    assert {part.path: [each.key for each in part.extents] for part in parts if part.extents} == {
        "": ["a", "c"], "layers.1": ["b"],
    }  # fmt: skip
