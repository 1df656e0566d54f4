"""Teachers that transformers does not hold; the references here are written down anew, or are other people's layout
of a model that transformers has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from torch import Tensor, nn

from .parts import DECODER, ENDS, jittered, sample, shards, token, tokenizer
from .tiny import Tiny
from .vision import gemma3, seen

WIDTH, FEATURES = 32, 24
SCOPE = "scope/resid_post/layer_1_width_24_l0_small"


class Scope(nn.Module):
    """The reference: a feature fires above its threshold."""

    def __init__(self, stored: dict[str, Tensor]) -> None:
        super().__init__()
        self.stored = stored

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, D] -> features [B, T, F], reconstruction [B, T, D]."""
        before = torch.einsum("btd,df->btf", state, self.stored["w_enc"]) + self.stored["b_enc"]
        features = torch.where(before > self.stored["threshold"], before.clamp(min=0), torch.zeros(()))
        rebuilt = torch.einsum("btf,fd->btd", features, self.stored["w_dec"]) + self.stored["b_dec"]
        if "affine_skip_connection" in self.stored:
            rebuilt = rebuilt + torch.einsum("btd,de->bte", state, self.stored["affine_skip_connection"])
        return features, rebuilt


class Alone(nn.Module):
    """The reference where activations come in."""

    def __init__(self, stored: dict[str, Tensor]) -> None:
        super().__init__()
        self.autoencoders = nn.ModuleList([Scope(stored)])

    def forward(self, activations: Tensor, attention_mask: Tensor) -> Any:
        """What the autoencoder gives."""
        return self.autoencoders[0](activations)


def _stored(skips: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"w_enc": (WIDTH, FEATURES), "w_dec": (FEATURES, WIDTH), "b_enc": (FEATURES,), "b_dec": (WIDTH,)}
    if skips:
        shapes["affine_skip_connection"] = (WIDTH, WIDTH)
    found = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return found | {"threshold": 0.2 * torch.rand(FEATURES, generator=generator)}


def _written(place: Path, *, skips: bool = False) -> dict[str, Tensor]:
    place.mkdir(parents=True, exist_ok=True)
    stored = _stored(skips)
    save_file(stored, place / "params.safetensors")
    return stored


def scope_alone(folder: Path) -> nn.Module:
    """A transcoder with an affine skip connection, without its model."""
    return Alone(_written(folder / "transcoder_all/layer_1_width_24_l0_small_affine", skips=True))


def scope_on_gemma(folder: Path) -> nn.Module:
    """An autoencoder over the residual stream of a Gemma 3."""
    stored = _written(folder / SCOPE)
    gemma3(folder / "base")
    model = hf.Gemma3ForConditionalGeneration.from_pretrained(folder / "base", dtype=torch.float32).eval()
    model.add_module("gemma_scope", Alone(stored))
    watched = model.get_submodule("model.language_model.layers.1")
    watched.register_forward_hook(lambda _, __, output: model.gemma_scope.autoencoders[0](output) and None)
    return model


def step3_vl(folder: Path) -> nn.Module:
    """Step3-VL as its file has it: an encoder with fused query, key and value in rotary pairs, a Qwen3 decoder."""
    torch.manual_seed(0)
    words = tokenizer({"image_token": "<im_patch>", "begin": "<im_start>", "end": "<im_end>"})
    text = hf.Qwen3Config(**DECODER, **ENDS, head_dim=8, tie_word_embeddings=False)
    vision = {"width": 32, "layers": 3, "heads": 4, "image_size": 56, "patch_size": 14, "mlp_ratio": 1.5,
              "ls_init_value": 0.1, "max_position_embeddings": 16}  # fmt: skip
    eyes = jittered(hf.Step3p7VisionModel(hf.Step3p7VisionConfig(**vision)))
    reference = Step3(eyes, jittered(hf.Qwen3ForCausalLM(text)), token(words, "<im_patch>"))
    stored = {f"vision_model.{name}": tensor for name, tensor in perception_names(eyes).items()}
    stored |= dict(reference.language.state_dict())
    stored["vit_large_projector.weight"] = reference.projector.weight
    folder.mkdir(parents=True, exist_ok=True)
    words.save_pretrained(folder)
    config = {
        "model_type": "step_robotics",
        "architectures": ["StepVLForConditionalGeneration"],
        "projector_bias": False,
        "vision_config": vision,
        "text_config": text.to_dict(),
        "image_token_id": reference.mark,
        "auto_map": {"AutoConfig": "configuration_step_vl.StepRoboticsConfig"},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shards(folder, stored)
    return reference


class Step3(nn.Module):
    """The reference: what the encoder sees takes the places of the patch tokens."""

    def __init__(self, eyes: Any, language: Any, mark: int) -> None:
        super().__init__()
        self.language, self.mark = language, mark
        self.model = nn.ModuleDict({"vision_model": eyes, "language_model": language.model})
        self.projector = nn.Linear(128, 32, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor | None = None) -> Tensor:
        """Logits [B, T, V]."""
        states = self.language.model.embed_tokens(input_ids)
        if pixel_values is not None:
            seen = self.projector(self.model["vision_model"](pixel_values).last_hidden_state)
            states[input_ids == self.mark] = seen.flatten(0, 1)
        found: Tensor = self.language(inputs_embeds=states, attention_mask=attention_mask).logits
        return found


def perception_names(eyes: Any) -> dict[str, Tensor]:
    """transformers' encoder under the names of its first author (perception_models, pe.py)."""
    renamed = {"embeddings.patch_embedding.": "conv1.", "pre_layernorm.": "ln_pre.", "downsampler": "vit_downsampler",
               "layers.": "transformer.resblocks.", "layernorm_before": "ln_1", "layernorm_after": "ln_2",
               "lambda_1": "ls_1.gamma", "lambda_2": "ls_2.gamma", "fc1": "c_fc", "fc2": "c_proj",
               "self_attn": "attn"}  # fmt: skip
    found: dict[str, Tensor] = {}
    state = eyes.state_dict()
    for name, tensor in state.items():
        if re.search(r"[kv]_proj", name):
            continue
        if "q_proj" in name:
            parts = [state[name.replace("q_proj", f"{each}_proj")] for each in "qkv"]
            tensor = torch.cat([_paired(parts[0]), _paired(parts[1]), parts[2]])
            name = name.replace("q_proj.", "in_proj_")
        for new, old in renamed.items():
            name = name.replace(new, old)
        found[name] = tensor
    found["positional_embedding"] = found.pop("embeddings.position_embedding.weight")
    return found


def _paired(tensor: Tensor, heads: int = 4) -> Tensor:
    """Rotary halves as pairs, head by head."""
    return tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _activations() -> list[Any]:
    generator = np.random.default_rng(0)
    return [sample(activations=generator.standard_normal((length, WIDTH)).astype(np.float32)) for length in (5, 3)]


ROWS = (
    Tiny(
        name="gemma-scope-2-27b",
        stands_for="google/gemma-scope-2-27b-pt on google/gemma-3-27b-pt",
        build=scope_on_gemma,
        samples=lambda: seen("<start_of_image> seen"),
        inner=SCOPE + "#{folder}/base",
        quick=True,
        checked="features of a layer of the model; the model's own output unchanged",
    ),
    Tiny(
        name="step3-vl-10b",
        stands_for="stepfun-ai/Step3-VL-10B",
        build=step3_vl,
        samples=lambda: seen("<im_patch> seen"),
        checked="file names and fused projections of the perception encoder",
        absent="the crops of large pictures: their processor is remote code, and its relative needs torchvision",
    ),
    Tiny(
        name="gemma-scope-2-27b alone",
        stands_for="google/gemma-scope-2-27b-pt",
        build=scope_alone,
        card=False,
        samples=_activations,
        inner="transcoder_all/layer_1_width_24_l0_small_affine",
        checked="activations in, a transcoder with its affine connection",
    ),
)
