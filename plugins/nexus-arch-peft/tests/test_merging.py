"""An adapter answers as PEFT's own forward does, resident and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from nexus_arch_peft.architecture import Peft
from nexus_arch_peft.settings import Settings, base_of, read
from nexus_specs import Budget, Installed, NexusError, Sample, Tap, content_key
from nexus_specs.testing import ListSink
from nexus_specs.testing.hub import LocalHub
from nexus_torch.files import TensorFile
from nexus_torch.skeleton import absent, fill, holders
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from torch import Tensor

Base = Callable[[str], Path]
MLP = ["gate_proj", "up_proj", "down_proj"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("llama", {"target_modules": "all-linear", "r": 4, "lora_alpha": 16}),
    "stabilised": ("llama", {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 16, "use_rslora": True}),
    "patterns": (
        "llama",
        {
            "target_modules": ["q_proj", *MLP], "r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {"layers.1.mlp.up_proj": 32, "down_proj": 3},
        },
    ),
    "dora": ("llama", {"target_modules": ["q_proj", *MLP], "r": 4, "lora_alpha": 16, "use_dora": True}),
    "whole modules": (
        "llama", {"target_modules": ["q_proj"], "r": 4, "modules_to_save": ["embed_tokens", "lm_head"]}
    ),
    "whole modules of tied": (
        "tied", {"target_modules": ["q_proj"], "r": 4, "modules_to_save": ["embed_tokens", "lm_head"]}
    ),
    "embedding": ("llama", {"target_modules": ["embed_tokens", "lm_head"], "r": 4, "lora_alpha": 16}),
    "tied embedding": ("tied", {"target_modules": ["embed_tokens", "q_proj"], "r": 4, "lora_alpha": 16}),
    "biases": ("qwen", {"target_modules": ["q_proj", "k_proj"], "r": 4, "bias": "all"}),
    "transposed": ("gpt2", {"target_modules": ["c_attn", "c_proj"], "r": 4, "fan_in_fan_out": True}),
    "transposed dora": ("gpt2", {"target_modules": ["c_fc"], "r": 4, "fan_in_fan_out": True, "use_dora": True}),
    "convolution": ("vit", {"target_modules": ["projection", "q_proj"], "r": 4, "modules_to_save": ["classifier"]}),
    "ia3": ("qwen", {"kind": "IA3", "target_modules": ["k_proj", *MLP], "feedforward_modules": ["down_proj"]}),
    "transposed ia3": (
        "gpt2",
        {
            "kind": "IA3", "target_modules": ["c_attn", "mlp.c_proj"], "feedforward_modules": ["mlp.c_proj"],
            "fan_in_fan_out": True,
        },
    ),
    "loha": ("llama", {"kind": "LoHa", "target_modules": ["q_proj", *MLP], "r": 4, "alpha": 16,
                       "alpha_pattern": {"down_proj": 3}, "rank_pattern": {"q_proj": 2}}),
    "loha convolution": (
        "vit", {"kind": "LoHa", "target_modules": ["projection", "q_proj"], "r": 2, "alpha": 200,
                 "use_effective_conv2d": True}
    ),
    "lokr": ("llama", {"kind": "LoKr", "target_modules": ["q_proj", *MLP], "r": 2, "alpha": 16,
                       "rank_pattern": {"q_proj": 4}, "decompose_both": True}),
    "lokr convolution": (
        "vit", {"kind": "LoKr", "target_modules": ["projection", "q_proj"], "r": 2, "alpha": 64,
                 "use_effective_conv2d": True}
    ),
    "vera": ("llama", {"kind": "Vera", "target_modules": ["q_proj", *MLP], "r": 4}),
    "means of vera": ("llama", {"kind": "Pvera", "target_modules": ["q_proj", *MLP], "r": 4}),
    "transposed vera": ("gpt2", {"kind": "Vera", "target_modules": ["c_attn"], "r": 4, "fan_in_fan_out": True}),
    "oft": ("llama", {"kind": "OFT", "target_modules": ["q_proj", *MLP], "oft_block_size": 4}),
    "oft solved": ("llama", {"kind": "OFT", "target_modules": ["q_proj"], "oft_block_size": 8, "block_share": True,
                             "use_cayley_neumann": False}),
    "oft of few terms": ("llama", {"kind": "OFT", "target_modules": ["q_proj", "embed_tokens"], "oft_block_size": 4,
                                   "num_cayley_neumann_terms": 3}),
    "boft": ("llama", {"kind": "BOFT", "target_modules": ["q_proj", *MLP], "boft_block_size": 4}),
    "hra": ("llama", {"kind": "HRA", "target_modules": ["q_proj", *MLP], "r": 4}),
    "hra convolution": ("vit", {"kind": "HRA", "target_modules": ["projection", "q_proj"], "r": 4, "apply_GS": True}),
    "fourier": ("llama", {"kind": "FourierFT", "target_modules": ["q_proj", *MLP], "n_frequency": 50, "scaling": 9.0}),
    "transposed fourier": (
        "gpt2", {"kind": "FourierFT", "target_modules": ["c_attn"], "n_frequency": 50, "fan_in_fan_out": True}
    ),
    "delora": ("llama", {"kind": "Delora", "target_modules": ["q_proj", *MLP], "r": 4}),
    "miss": ("llama", {"kind": "Miss", "target_modules": ["q_proj", *MLP], "r": 5}),
    "miss bat": ("llama", {"kind": "Miss", "target_modules": ["q_proj", "gate_proj"], "r": 8, "init_weights": "bat"}),
    "miss mini": ("llama", {"kind": "Miss", "target_modules": ["q_proj"], "r": 8, "init_weights": "mini", "mini_r": 4}),
    "tokens": ("llama", {"target_modules": ["q_proj"], "r": 4, "trainable_token_indices": [79, 299, 80]}),
    "tokens of tied": ("tied", {"target_modules": ["q_proj"], "r": 4, "trainable_token_indices": [79, 80]}),
    "tokens of two": ("llama", {"target_modules": ["q_proj"], "r": 4,
                                "trainable_token_indices": {"lm_head": [7], "embed_tokens": [79, 80]}}),
    "tokens of two tied": ("tied", {"target_modules": ["q_proj"], "r": 4,
                                    "trainable_token_indices": {"lm_head": [7], "embed_tokens": [79, 80]}}),
    "tokens alone": ("llama", {"kind": "TrainableTokens", "token_indices": [79, 80], "init_weights": True}),
    "tokens alone of tied": ("tied", {"kind": "TrainableTokens", "token_indices": [79, 80], "init_weights": True}),
    "random bases": ("llama", {"kind": "RandLora", "target_modules": ["q_proj", *MLP], "r": 5}),
    "transposed random bases": (
        "gpt2", {"kind": "RandLora", "target_modules": ["c_attn", "mlp.c_proj"], "r": 4, "fan_in_fan_out": True}
    ),
    "vector bank": ("llama", {"kind": "VBLoRA", "target_modules": ["q_proj", *MLP], "r": 4, "num_vectors": 8,
                              "vector_length": 16}),
    "best of a vector bank": ("llama", {"kind": "VBLoRA", "target_modules": ["q_proj", *MLP], "r": 4, "topk": 3,
                                        "num_vectors": 8, "vector_length": 8, "save_only_topk_weights": True}),
    "rotations": ("qwen", {"kind": "Road", "target_modules": ["q_proj", *MLP], "variant": "road_1", "group_size": 8}),
    "rotations of two": ("qwen", {"kind": "Road", "target_modules": ["q_proj"], "variant": "road_2",
                                  "group_size": 16}),
    "rotations of four": ("qwen", {"kind": "Road", "target_modules": ["q_proj", *MLP], "variant": "road_4",
                                   "group_size": 4}),
    "norms": ("llama", {"kind": "LNTuning", "target_modules": ["input_layernorm", "norm"]}),
    "experts": ("experts", {"target_modules": ["q_proj"], "r": 4, "lora_alpha": 16,
                            "target_parameters": ["experts.gate_up_proj", "experts.down_proj", "gate.weight"],
                            "alpha_pattern": {"experts.down_proj": 3, "mlp.gate.weight": 40}}),
    "one weight of experts": ("experts", {"target_modules": [], "r": 2, "target_parameters": ["experts.down_proj"]}),
    "experts as linear layers": ("experts", {"target_modules": "all-linear", "r": 4, "lora_alpha": 16}),
    "transposed experts": ("gpt_oss", {"target_modules": [], "r": 4, "lora_alpha": 16,
                                       "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}),
    "experts of inputs first": ("llama4", {"target_modules": [], "r": 4, "lora_alpha": 16,
                                           "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}),
    "experts of other names": ("mixtral", {"target_modules": ["q_proj"], "r": 4, "lora_alpha": 16,
                                           "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}),
    "with biases": ("qwen", {"target_modules": ["q_proj", *MLP], "r": 4, "lora_alpha": 16, "lora_bias": True}),
    "circles": ("llama", {"kind": "C3A", "target_modules": ["q_proj", *MLP], "block_size": 8}),
    "granular": ("llama", {"kind": "Gralora", "target_modules": ["q_proj", *MLP], "r": 8, "gralora_k": 2,
                           "hybrid_r": 2}),
    "transposed granular": (
        "gpt2", {"kind": "Gralora", "target_modules": ["c_attn"], "r": 4, "gralora_k": 4, "alpha": 8,
                 "fan_in_fan_out": True}
    ),
    "sparse": ("llama", {"kind": "Shira", "target_modules": ["q_proj", *MLP], "r": 4}),
    "modulated": ("llama", {"kind": "Hira", "target_modules": ["q_proj", "embed_tokens", *MLP], "r": 4}),
    "modulated convolution": ("vit", {"kind": "Hira", "target_modules": ["projection", "q_proj"], "r": 4}),
    "transposed modulated": ("gpt2", {"kind": "Hira", "target_modules": ["c_attn"], "r": 4, "fan_in_fan_out": True}),
    "adalora": ("llama", {"kind": "AdaLora", "target_modules": ["q_proj", *MLP], "init_r": 6, "lora_alpha": 16,
                          "total_step": 10}),
}  # fmt: skip


NOISED = ("modules_to_save", "magnitude", "ln_tuning", "miss_block", "vera_", "trainable_tokens_delta", "vblora_",
          "randlora_lambda", "randlora_gamma")  # fmt: skip
"""In the names of what begins as it was, or as nothing."""


def adapt(base: Path, target: Path, settings: dict[str, Any]) -> Any:
    """Writes a random adapter; returns PEFT's model."""
    config = json.loads((base / "config.json").read_text())
    model = getattr(hf, config["architectures"][0]).from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(1)
    kind = settings.get("kind", "Lora")
    more = {name: value for name, value in settings.items() if name != "kind"}
    begins = {"IA3": "init_ia3_weights", "Lora": "init_lora_weights", "AdaLora": "init_lora_weights"}
    begin = begins.get(kind, "init_weights")
    more |= {} if kind in ("LNTuning", "VBLoRA") or begin in more else {begin: False}
    made = peft.get_peft_model(model, getattr(peft, f"{kind}Config")(**more)).eval()
    with torch.no_grad():
        for name, each in made.named_parameters():
            if any(each in name for each in NOISED) or ("bias" in name and settings.get("bias")):
                each.add_(torch.randn_like(each) * 0.1)
    made.save_pretrained(target)
    return made


def assembled(checkpoint: Any) -> Any:
    """The skeleton, filled part by part."""
    module = checkpoint.skeleton()
    tied = holders(module)
    for part in checkpoint.parts:
        raw = {each.key: _read(TensorFile(Path(each.file)), each.start) for each in part.extents}
        fill(module, dict(checkpoint.assemble(part, raw)), tied)
    assert not absent(module)
    return module


def _read(file: TensorFile, start: int) -> Tensor:
    name = next(name for name, entry in file.entries.items() if entry["data_offsets"][0] + file.start == start)
    return file.tensor(name)


def batch(checkpoint: Any) -> Any:
    if "image" in checkpoint.blueprint.takes:
        return {"pixel_values": torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))}
    return checkpoint.collate([Sample(key="0" * 64, fields={"text": "Low ranks."})])


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_it_is_as_pefts_own_forward(case: str, base: Base, tmp_path: Path) -> None:
    name, settings = CASES[case]
    model = adapt(base(name), tmp_path, settings)
    checkpoint: Any = Installed().open(str(tmp_path))
    inputs = batch(checkpoint)
    found, expected = assembled(checkpoint)(**inputs).logits, model(**inputs).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    plain = getattr(hf, checkpoint.blueprint.head).from_pretrained(base(name), dtype=torch.float32).eval()
    assert (plain(**inputs).logits - expected).abs().max() > 1e-3, "the adapter does something"


@pytest.mark.parametrize("case", ["linear", "tied embedding", "whole modules of tied", "with biases", "experts"])
def test_streamed_is_as_resident(case: str, base: Base, tmp_path: Path) -> None:
    name, settings = CASES[case]
    adapt(base(name), tmp_path, settings)
    fields = [{"text": "One of them."}, {"text": "Another, longer one."}]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    values = []
    for residency in ("resident", "stream"):
        sink, budget = ListSink(), Budget(residency=residency, micro_batch=1, scratch=tmp_path / "scratch")  # type: ignore[arg-type]
        checkpoint = Installed().open(str(tmp_path))
        with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
            teacher.observe(samples, [Tap(path="logits"), Tap(path="model.layers.1")], sink)
        values.append([sink.value(sample.key, tap) for sample in samples for tap in ("logits", "model.layers.1")])
    assert all(torch.equal(one, other) for one, other in zip(*values, strict=True))


@torch.no_grad()
def test_a_vocabulary_that_grew(base: Base, tmp_path: Path) -> None:
    for name in ("llama", "tied"):
        model = hf.LlamaForCausalLM.from_pretrained(base(name), dtype=torch.float32)
        model.resize_token_embeddings(310)
        settings = peft.LoraConfig(target_modules=["q_proj"], r=4, init_lora_weights=False)
        made = peft.get_peft_model(model, settings).eval()
        made.save_pretrained(tmp_path / name, save_embedding_layers=True)
        checkpoint: Any = Installed().open(str(tmp_path / name))
        assert checkpoint.blueprint.vocabulary == 310
        found = assembled(checkpoint)(input_ids=torch.tensor([[1, 305, 2]])).logits
        torch.testing.assert_close(found, made(input_ids=torch.tensor([[1, 305, 2]])).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_vocabulary_that_grew_and_was_trained(base: Base, tmp_path: Path) -> None:
    """PEFT writes the old head, the new one and a plain copy beside each other: what it trained counts."""
    model = hf.LlamaForCausalLM.from_pretrained(base("llama"), dtype=torch.float32)
    model.resize_token_embeddings(310)
    settings = peft.LoraConfig(
        target_modules=["q_proj"], r=4, init_lora_weights=False, modules_to_save=["embed_tokens", "lm_head"]
    )
    made = peft.get_peft_model(model, settings).eval()
    for name, each in made.named_parameters():
        if "modules_to_save" in name:
            each.add_(torch.randn_like(each) * 0.1)
    made.save_pretrained(tmp_path / "grown", save_embedding_layers=True)
    assert any("original_module" in key for key in load_file(tmp_path / "grown" / "adapter_model.safetensors"))
    checkpoint: Any = Installed().open(str(tmp_path / "grown"))
    found = assembled(checkpoint)(input_ids=torch.tensor([[1, 305, 2]])).logits
    torch.testing.assert_close(found, made(input_ids=torch.tensor([[1, 305, 2]])).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        (hf.LlamaForSequenceClassification, "SEQ_CLS"), (hf.LlamaForTokenClassification, "TOKEN_CLS"),
        (hf.LlamaModel, "FEATURE_EXTRACTION"), (hf.LlamaModel, None), (hf.LlamaForSequenceClassification, None),
    ],
)  # fmt: skip
@torch.no_grad()
def test_an_adapter_brings_a_head_that_its_base_has_not(kind: Any, task: Any, base: Base, tmp_path: Path) -> None:
    """The base is published as a language model, and opened as what the adapter was trained on."""
    labels = {"num_labels": 3} if "Classification" in kind.__name__ else {}
    model = kind.from_pretrained(base("llama"), dtype=torch.float32, **labels)
    saved = ["score"] if labels and task is None else None
    settings = peft.LoraConfig(
        target_modules=["q_proj"], r=4, init_lora_weights=False, task_type=task, modules_to_save=saved
    )
    made = peft.get_peft_model(model, settings).eval()
    made.save_pretrained(tmp_path / "adapter")
    checkpoint: Any = Installed().open(str(tmp_path / "adapter"))
    told = checkpoint.blueprint
    assert (told.head, told.missing, told.vocabulary) == (kind.__name__, (), 300)
    assert len(told.labels) == labels.get("num_labels", 0)
    inputs = {"input_ids": torch.arange(9)[None]}
    found, expected = assembled(checkpoint)(**inputs).to_tuple(), made(**inputs).to_tuple()
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("task", ["CAUSAL_LM", None])
@torch.no_grad()
def test_the_command_that_merges_an_adapter_of_another_kind_runs(task: Any, base: Base, tmp_path: Path) -> None:
    """As a user types it: the folder that it writes is the adapted model, with its head."""
    model = hf.LlamaForCausalLM.from_pretrained(base("llama"), dtype=torch.float32)
    settings = peft.WaveFTConfig(target_modules=["k_proj"], n_frequency=50, task_type=task)
    made = peft.get_peft_model(model, settings).eval()
    made.save_pretrained(tmp_path / "adapter")
    with pytest.raises(NexusError, match="of the kind 'WAVEFT'") as caught:
        Peft().open(str(tmp_path / "adapter"), Installed())
    command = str(caught.value).rpartition("writes: ")[2].strip()
    typed = command.replace("ADAPTER", repr(str(tmp_path / "adapter"))).replace("FOLDER", repr(str(tmp_path / "whole")))
    exec(typed, {"peft": peft})
    found = assembled(Installed().open(str(tmp_path / "whole")))(input_ids=torch.arange(9)[None]).logits
    torch.testing.assert_close(found, made(input_ids=torch.arange(9)[None]).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_names_from_before_experts_were_fused(base: Base, tmp_path: Path) -> None:
    stored = load_file(base("experts") / "model.safetensors")
    names = ["model.layers.0.mlp.experts.1.up_proj", "model.layers.1.mlp.experts.3.down_proj"]
    products, changed = {}, dict(stored)
    for name in names:
        rows, columns = stored[f"{name}.weight"].shape
        inner, outer = torch.randn(4, columns), torch.randn(rows, 4)
        changed[f"{name}.weight"] = stored[f"{name}.weight"] + outer @ inner * 2
        products |= {f"base_model.model.{name}.lora_{half}.weight": each for half, each in (("A", inner), ("B", outer))}
    write(tmp_path, base("experts"), products, r=4, lora_alpha=8)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_bytes((base("experts") / "config.json").read_bytes())
    save_file(changed, plain / "model.safetensors")
    tokens = torch.arange(20)[None]
    found = assembled(Installed().open(str(tmp_path)))(input_ids=tokens).logits
    expected = hf.Qwen3MoeForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()(input_ids=tokens).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_some_experts_of_a_layer_are_merged_alone(base: Base, tmp_path: Path) -> None:
    """As the engine has them where not all fit in memory."""
    adapt(base("experts"), tmp_path, CASES["experts"][1])
    checkpoint: Any = Installed().open(str(tmp_path))
    path = "model.layers.0.mlp.experts"
    whole = dict(assembled(checkpoint).named_parameters())
    (part,) = (each for each in checkpoint.parts if each.path == "model.layers.0")
    extents, raw = [], {}
    for each in part.extents:
        if not each.key.startswith(path) or any(f".experts.{number}." in each.key for number in (0, 3)):
            continue
        value = _read(TensorFile(Path(each.file)), each.start).reshape(each.shape)
        if each.shape[0] == 4 and len(each.shape) == 3:     # something of every expert
            row = (each.stop - each.start) // 4
            each = replace(each, start=each.start + row, stop=each.start + 3 * row, shape=(2, *each.shape[1:]))
            value = value[1:3]
        extents.append(each)
        raw[each.key] = value
    made = checkpoint.assemble(replace(part, extents=tuple(extents)), raw)
    assert len(made) == 2
    for name, value in made.items():
        assert torch.equal(value, whole[name][1:3]), name


def write(folder: Path, base: Path | str, tensors: dict[str, Tensor], **settings: Any) -> None:
    """An adapter folder by hand."""
    folder.mkdir(exist_ok=True)
    facts = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 4, "lora_alpha": 4, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(facts))
    save_file(tensors, folder / "adapter_model.safetensors")


def product(name: str, rows: int = 32, columns: int = 32) -> dict[str, Tensor]:
    stem = f"base_model.model.{name}"
    return {f"{stem}.lora_A.weight": torch.ones(4, columns), f"{stem}.lora_B.weight": torch.ones(rows, 4)}


QUERY = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("settings", "tensors", "words"),
    [
        ({"peft_type": "WAVEFT"}, product(QUERY), r"of the kind 'WAVEFT', which is not read; LORA, .* are.*merge_and_"),
        ({"peft_type": "OFT", "coft": True}, product(QUERY), r"coft is True in .*; false: what is projected"),
        ({"peft_type": "HRA", "apply_GS": "yes"}, product(QUERY), "apply_GS is 'yes' in .*; true or false"),
        ({"peft_type": "FOURIERFT", "random_loc_seed": -1}, product(QUERY), "random_loc_seed is -1"),
        ({"peft_type": "VERA", "save_projection": False}, product(QUERY), "without the matrices that all"),
        ({"peft_type": "VERA"}, {f"base_model.model.{QUERY}.vera_lambda_b": torch.ones(32),
                                 f"base_model.model.{QUERY}.vera_lambda_d": torch.ones(4)}, "lacks a half"),
        ({"peft_type": "OFT"}, {"base_model.model.model.layers.9.mlp.up_proj.oft_R.weight": torch.ones(8, 6)},
         "changes 'model.layers.9.mlp.up_proj.weight', which LlamaForCausalLM has not"),
        ({"peft_type": "BOFT"}, {f"base_model.model.{QUERY}.boft_R": torch.zeros(2, 8, 4, 4),
                                 f"base_model.model.{QUERY}.boft_s": torch.ones(32, 1)}, "more than one factor"),
        ({"peft_type": "LOKR", "r": 4, "alpha": 8}, {f"base_model.model.{QUERY}.lokr_w1": torch.ones(2, 2)}, "a half"),
        ({"peft_type": "IA3"}, {f"base_model.model.{QUERY}.ia3_l": torch.ones(1, 32, 1, 1)}, "IA3 of convolutions"),
        ({"peft_type": "LOHA", "alpha": None}, product(QUERY), "alpha is None"),
        ({"peft_type": "PREFIX_TUNING"}, product(QUERY), "PEFT cannot merge it either. Name the base itself"),
        ({"init_lora_weights": "pissa_niter_16"}, product(QUERY), "init_lora_weights: pissa_niter_16"),
        ({"layer_replication": [[0, 2]], "use_qalora": True}, product(QUERY), "layer_replication, use_qalora"),
        ({"target_parameters": "experts"}, product(QUERY), "target_parameters is experts in .*; names of parameters"),
        ({"target_parameters": ["q_proj.weight"]}, product(QUERY), "products for 0 parameters of .*q_proj.*name 1"),
        ({"target_parameters": [f"{QUERY}.weight"]}, product(QUERY) | {
            f"base_model.model.{QUERY}.lora_A.weight": torch.ones(4)}, "are no halves of products"),
        ({}, {f"base_model.model.{QUERY}.lora_B.bias": torch.ones(32)}, "has no product beside it"),
        ({"lora_alpha": "x"}, product(QUERY), "lora_alpha is 'x'"),
        ({"alpha_pattern": {"(": 2}}, product(QUERY), "alpha_pattern"),
        ({"alpha_pattern": {"([a-z_.0-9]+)+X": 8}}, product(QUERY), "repeats a group"),
        ({"alpha_pattern": {".*a.*b.*c.*X": 8}}, product(QUERY), "repeats a group, or too much"),
        ({"alpha_pattern": {"(.|.)(.|.)(.|.)(.|.)(.|.)X": 8}}, product(QUERY), "or too much"),
        ({"alpha_pattern": {".?.?.?.?.?.?X": 8}}, product(QUERY), "or too much"),
        ({"alpha_pattern": {"(?x)(.+) +X": 8}}, product(QUERY), "repeats a group"),
        ({"alpha_pattern": {"q" * 300: 8}}, product(QUERY), "longer than 256"),
        ({"alpha_pattern": {"q_proj": float("nan")}}, product(QUERY), "alpha_pattern"),
        ({"lora_alpha": float("nan")}, product(QUERY), "a finite number"),
        ({"base_model_name_or_path": None}, product(QUERY), "does not name the base"),
        ({"base_model_name_or_path": "./nowhere/at/all"}, product(QUERY), "stands on './nowhere/at/all'"),
        ({}, product("model.layers.9.self_attn.q_proj"), "which LlamaForCausalLM has not"),
        ({}, dict(list(product(QUERY).items())[:1]), "lacks a half"),
        ({"trainable_token_indices": [1, -2]}, product(QUERY), "numbers of tokens"),
        (
            {"trainable_token_indices": [3, 999]},
            {"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": torch.ones(2, 32)},
            "the token 999 of 'model.embed_tokens.weight', which has 300 rows",
        ),
        ({"peft_type": "ROAD", "group_size": 3}, product(QUERY), "an even number above 0"),
        ({"peft_type": "RANDLORA", "save_projection": False}, product(QUERY), "save_projection is False"),
    ],
)
def test_what_cannot_be_merged_is_refused_in_words(
    settings: dict[str, Any], tensors: dict[str, Tensor], words: str, base: Base, tmp_path: Path
) -> None:
    write(tmp_path, base("llama"), tensors, **settings)
    with pytest.raises(NexusError, match=words):
        Peft().open(str(tmp_path), Installed())


def test_an_alpha_that_the_file_does_not_name_is_pefts_own(tmp_path: Path) -> None:
    for kind, made in (("LORA", peft.LoraConfig), ("ADALORA", peft.AdaLoraConfig), ("LOHA", peft.LoHaConfig),
                       ("LOKR", peft.LoKrConfig)):  # fmt: skip
        facts = {"peft_type": kind, "base_model_name_or_path": "a/b"}
        (tmp_path / "adapter_config.json").write_text(json.dumps(facts))
        own: Any = made(total_step=1) if kind == "ADALORA" else made()
        found = read(tmp_path)
        assert found.alpha == (own.alpha if kind in ("LOHA", "LOKR") else own.lora_alpha), kind
        assert kind != "LOKR" or found.rank == own.r


def test_products_of_another_size_are_refused(base: Base, tmp_path: Path) -> None:
    write(tmp_path, base("llama"), product(QUERY, 48))
    with pytest.raises(NexusError, match=r"q_proj.weight' is \(48, 32\); the weight is \(32, 32\)"):
        assembled(Peft().open(str(tmp_path), Installed()))


@pytest.mark.parametrize("rows", [48, 32])
def test_scales_of_another_size_are_refused(rows: int, base: Base, tmp_path: Path) -> None:
    """Also where the weight, (48, 32), has as many inputs."""
    module, name = ("up_proj", 32) if rows == 32 else ("down_proj", 48)
    scales = {f"base_model.model.model.layers.0.mlp.{module}.ia3_l": torch.ones(rows, 1)}
    write(tmp_path, base("llama"), scales, peft_type="IA3")
    with pytest.raises(NexusError, match=rf"{module}.weight' by \({name}, 1\) numbers; the weight is"):
        assembled(Peft().open(str(tmp_path), Installed()))


def test_adapters_in_a_circle_and_pickles(base: Base, tmp_path: Path) -> None:
    write(tmp_path / "a", tmp_path / "b", product(QUERY))
    write(tmp_path / "b", tmp_path / "a", product(QUERY))
    with pytest.raises(NexusError, match="stands on itself"):
        Peft().open(str(tmp_path / "a"), Installed())
    write(tmp_path / "c", base("llama"), product(QUERY))
    (tmp_path / "c" / "adapter_model.safetensors").rename(tmp_path / "c" / "adapter_model.bin")
    with pytest.raises(NexusError, match=r"is a pickle.*Convert it once"):
        Peft().open(str(tmp_path / "c"), Installed())
    (tmp_path / "c" / "adapter_model.bin").unlink()
    with pytest.raises(NexusError, match=r"no file 'adapter_model\.safetensors'"):
        Peft().open(str(tmp_path / "c"), Installed())


def test_adapter_and_base_on_a_hub_are_pinned_and_counted(server: LocalHub, base: Base, tmp_path: Path) -> None:
    write(tmp_path / "poet", "acme/base", product(QUERY))
    commits = server.add("acme/base", base("llama")), server.add("acme/poet", tmp_path / "poet")
    both = f"acme/base@{commits[0]}+acme/poet@{commits[1]}"
    weights = (base("llama") / "model.safetensors").stat().st_size
    for source in ("acme/poet", "acme/base+acme/poet", both):
        found = Peft().origin(source)
        assert found is not None
        assert found.source == both
        assert weights <= found.missing <= found.bytes
    assert Peft().match(both) == 2
    assert Peft().inspect(both).head == "LlamaForCausalLM"
    write(tmp_path / "here", "acme/base", product(QUERY))
    local = Peft().origin(str(tmp_path / "here"))
    assert local is not None
    assert local.source == f"acme/base@{commits[0]}+{tmp_path / 'here'}"
    write(tmp_path / "all here", base("llama"), product(QUERY))
    assert Peft().origin(str(tmp_path / "all here")) is None


@torch.no_grad()
def test_an_adapter_on_an_adapter_and_its_own_tokenizer(base: Base, tmp_path: Path) -> None:
    write(tmp_path / "one", base("llama"), {key: each * 0.01 for key, each in product(QUERY).items()})
    write(tmp_path / "two", "../one", {key: each * 0.02 for key, each in product(QUERY).items()})
    hf.AutoTokenizer.from_pretrained(base("llama")).save_pretrained(tmp_path / "two")
    found = assembled(Installed().open(str(tmp_path / "two"))).get_parameter(f"{QUERY}.weight")
    plain = hf.LlamaForCausalLM.from_pretrained(base("llama")).get_parameter(f"{QUERY}.weight")
    torch.testing.assert_close(found, plain + 4 * 0.01**2 + 4 * 0.02**2)
    checkpoint: Any = Installed().open(str(tmp_path / "two"))
    assert checkpoint.preprocessor.home == tmp_path / "two"
    checkpoint.save_preprocessor(tmp_path / "saved")
    assert {"config.json", "tokenizer.json"} <= {path.name for path in (tmp_path / "saved").iterdir()}


@torch.no_grad()
def test_a_base_that_lies_elsewhere_is_named_with_the_adapter(base: Base, tmp_path: Path) -> None:
    write(tmp_path / "one", "someone/moved-away", product(QUERY))
    source = f"{base('llama')}+{tmp_path / 'one'}"
    assert Peft().match(source) == 2
    found = assembled(Installed().open(source)).get_parameter(f"{QUERY}.weight")
    plain = hf.LlamaForCausalLM.from_pretrained(base("llama")).get_parameter(f"{QUERY}.weight")
    torch.testing.assert_close(found, plain + 4)


@torch.no_grad()
def test_a_folder_of_several_adapters_names_them(base: Base, tmp_path: Path) -> None:
    """As peft saves those that have names."""
    for name in ("one", "two"):
        adapt(base("llama"), tmp_path / "several" / name, {"target_modules": ["q_proj"]})
    with pytest.raises(NexusError, match=r"in folders of their own\. Name one of them: .*/one, .*/two\."):
        Peft().match(str(tmp_path / "several"))
    (tmp_path / "several" / "config.json").write_text("{}")
    assert Peft().match(str(tmp_path / "several")) == 0, "a model with adapters beside it"


def test_a_base_that_bitsandbytes_packed(base: Base, tmp_path: Path) -> None:
    functional = pytest.importorskip("bitsandbytes").functional
    stored, values = load_file(base("llama") / "model.safetensors"), {}
    for key in [key for key in stored if key.endswith("proj.weight")]:
        weight = stored.pop(key)
        packed, state = functional.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")
        stored |= {key: packed, **{f"{key}.{name}": each for name, each in state.as_dict(packed=True).items()}}
        state.shape = torch.Size((weight.numel() // 64, 64))
        values[key] = functional.dequantize_4bit(packed, state).reshape(weight.shape)
    home = tmp_path / "base"
    home.mkdir()
    save_file(stored, home / "model.safetensors")
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    config = json.loads((base("llama") / "config.json").read_text()) | {"quantization_config": settings}
    (home / "config.json").write_text(json.dumps(config))
    write(tmp_path / "adapter", "../base", product(QUERY))
    checkpoint = Installed().open(str(tmp_path / "adapter"))
    found = assembled(checkpoint)
    assert checkpoint.blueprint.quantisation == "bitsandbytes"
    torch.testing.assert_close(found.get_parameter(f"{QUERY}.weight"), values[f"{QUERY}.weight"] + 4)
    other = "model.layers.1.mlp.up_proj.weight"
    torch.testing.assert_close(found.get_parameter(other), values[other])


@pytest.mark.parametrize("component", ["", "#unet"])
@torch.no_grad()
def test_an_adapter_of_a_model_of_diffusers(component: str, tmp_path: Path) -> None:
    """PEFT writes no name of its base: the source does."""
    import diffusers

    torch.manual_seed(0)
    small = {"sample_size": 8, "block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8,
             "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "cross_attention_dim": 32,
             "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "attention_head_dim": 8}  # fmt: skip
    home = tmp_path / "pipeline" / "unet"
    diffusers.UNet2DConditionModel(**small).save_pretrained(home)
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "pipeline" / "scheduler")
    index = {"_class_name": "DDPMPipeline", "_diffusers_version": "0.1", "unet": ["diffusers", "UNet2DConditionModel"],
             "scheduler": ["diffusers", "DDPMScheduler"]}  # fmt: skip
    (tmp_path / "pipeline" / "model_index.json").write_text(json.dumps(index))
    settings = peft.LoraConfig(init_lora_weights=False, target_modules=["to_q", "conv1", "proj_in"], r=4)
    model = peft.get_peft_model(diffusers.UNet2DConditionModel.from_pretrained(home), settings).eval()
    model.save_pretrained(tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    fields = {"sample": torch.randn(4, 8, 8), "encoder_hidden_states": torch.randn(5, 32), "timestep": 500.0}
    states = fields["encoder_hidden_states"][None]
    expected = model(fields["sample"][None], torch.tensor([500.0]), encoder_hidden_states=states).sample
    base = f"{tmp_path / 'pipeline'}{component}" if component else str(home)
    checkpoint: Any = Installed().open(f"{base}+{tmp_path / 'adapter'}")
    found = assembled(checkpoint)(**checkpoint.collate([Sample(key="0" * 64, fields=fields)]))
    torch.testing.assert_close(checkpoint.read(found, {"sample": fields["sample"][None]}).outputs["prediction"][0],
                               expected, rtol=1e-5, atol=1e-5)  # fmt: skip
    with pytest.raises(NexusError, match="does not name the base"):
        Installed().open(str(tmp_path / "adapter"))


@pytest.mark.parametrize("method", ["fp8", "compressed-tensors"])
def test_experts_of_a_packed_base(method: str, base: Base, tmp_path: Path) -> None:
    """The product is added to the values, not to the codes that a scale multiplies; the codes may have another name."""
    stored = load_file(base("experts") / "model.safetensors")
    expert = "model.layers.0.mlp.experts.1.up_proj"
    plain = {}
    for key in [key for key in stored if ".experts." in key]:
        codes, stem = (stored[key] * 4).to(torch.float8_e4m3fn), key.removesuffix(".weight")
        if method == "fp8":
            stored |= {key: codes, f"{key}_scale_inv": torch.full((1, 1), 0.25)}
            plain[key] = codes.float() * 0.25
        else:
            words = torch.full((len(codes), codes.shape[1] // 8), 0x11111111, dtype=torch.int32)  # codes of 1 - 8
            scale = torch.full((len(codes), 1), 0.01)
            del stored[key]
            stored |= {f"{stem}.weight_packed": words, f"{stem}.weight_scale": scale}
            stored[f"{stem}.weight_shape"] = torch.tensor(codes.shape)
            plain[key] = torch.full(codes.shape, -0.07)
    home = tmp_path / "base"
    home.mkdir()
    save_file(stored, home / "model.safetensors")
    groups = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int"}}}
    settings = {"quant_method": method, "config_groups": groups}
    config = json.loads((base("experts") / "config.json").read_text()) | {"quantization_config": settings}
    (home / "config.json").write_text(json.dumps(config))
    write(tmp_path / "adapter", "../base", product(expert, *plain[f"{expert}.weight"].shape))
    module = assembled(Installed().open(str(tmp_path / "adapter")))
    fused = module.get_parameter("model.layers.0.mlp.experts.gate_up_proj")
    half = fused.shape[1] // 2
    torch.testing.assert_close(fused[1, half:], plain[f"{expert}.weight"] + 4)
    torch.testing.assert_close(fused[2, half:], plain[f"{expert.replace('.1.', '.2.')}.weight"])


PATTERNS = ("q_proj", "self.attn.q_proj", "0.self_attn.q_proj", "k_proj", "self_attn", "proj", QUERY, f"x.{QUERY}",
            "(q|k)_proj", r".*layers\.\d+\..*", r"^model\.layers\.0.*", "[qk]_proj", "layers.0", "lm.head")  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_what_they_mean_to_peft(pattern: str) -> None:
    settings = Settings(base="b", revision="", alpha=1, alphas={pattern: 2}, stabilised=False, dora=False)
    for module in (QUERY, QUERY.replace("0", "10"), QUERY.replace("q_", "k_"), QUERY.replace("q_", "xq_"), "q_proj"):
        wanted = get_pattern_key([pattern], module) == pattern
        assert settings.scaling(module, 1) == (2 if wanted else 1), (pattern, module)


def test_patterns_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_arch_peft.settings.SECONDS", -1.0)
    settings = Settings(base="b", revision="", alpha=1, alphas={".*x": 2}, stabilised=False, dora=False)
    with pytest.raises(NexusError, match="takes more than -1 seconds"):
        settings.scaling(QUERY, 1)


def test_a_branch_of_the_base_may_have_a_slash(tmp_path: Path) -> None:
    base_at = {"peft_type": "LORA", "lora_alpha": 8, "base_model_name_or_path": "acme/tiny", "revision": "feature/x"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(base_at))
    assert base_of(tmp_path, read(tmp_path)) == "acme/tiny@feature%2Fx"
