"""Weights in four and eight bits: within the type's own error, in the place and shape of the weights that they were."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.weights.quantising import Quantised, bytes_of, quantise
from nexus_specs import Budget, Checkpoint, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from nexus_torch.skeleton import absent, empty, fill, holders
from torch import Tensor, nn
from torch.nn.functional import linear

pytest.importorskip("bitsandbytes")
Opened, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]
WIDEST_STEP = 0.1519
"""Half of the widest gap between NF4's codes (-1 and -0.696), in shares of the block's largest value."""


def small(rows: int = 48, columns: int = 40) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, rows), nn.LayerNorm(rows))


@pytest.mark.parametrize("shape", [(48, 40), (33, 7), (300, 64), (1, 5)])
def test_every_weight_is_within_the_types_own_error(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_engine_sli.weights.quantising.AT_ONCE", 1 << 10)
    for how in ("nf4", "int8"):
        module = small(*shape)
        weight = module[0].weight.detach().clone()
        quantise(module, how)
        found = module[0].weight
        assert isinstance(found, Quantised)
        assert isinstance(found, nn.Parameter)
        assert (found.shape, found.dtype) == (weight.shape, weight.dtype)
        error = (found.values() - weight).abs()
        if how == "int8":
            assert (error <= weight.abs().amax(1, keepdim=True) * (0.5 / 127 + 2**-10)).all()
        else:
            flat = nn.functional.pad(error.flatten(), (0, -error.numel() % 64)).view(-1, 64)
            most = nn.functional.pad(weight.flatten(), (0, -error.numel() % 64)).view(-1, 64).abs().amax(1)
            assert (flat <= WIDEST_STEP * most[:, None] + 1e-6).all()
            assert (flat <= WIDEST_STEP * most[:, None] / 2).float().mean() > 0.8


@pytest.mark.parametrize(("how", "most"), [("nf4", 0.11), ("int8", 0.012)])
@torch.no_grad()
def test_products_are_near_whatever_goes_in(how: Any, most: float) -> None:
    module = small(256, 128)
    inputs = torch.randn(3, 5, 128)
    expected = module[0](inputs)
    quantise(module, how)
    found = module[0](inputs)
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < most
    assert module[0](inputs.bfloat16()).dtype == torch.bfloat16
    assert type(module[1].weight) is nn.Parameter, "norms stay as they are"
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(module[0](inputs).float(), found, rtol=0.02, atol=0.02)


ROWS, COLUMNS = 96, 128
"""A whole number of blocks, so that bitsandbytes' own functions take the weight as it is."""


@torch.no_grad()
def test_nf4_is_bitsandbytes_own_bit_for_bit() -> None:
    functions = importlib.import_module("bitsandbytes.functional")
    module, inputs = small(ROWS, COLUMNS), torch.randn(9, COLUMNS).bfloat16()
    weight = module[0].weight.detach().clone()
    packed, state = functions.quantize_4bit(weight, blocksize=64, compress_statistics=False, quant_type="nf4")
    quantise(module, "nf4")
    found = module[0].weight
    assert torch.equal(found.codes.flatten(), packed.flatten())
    assert torch.equal(found.scales.flatten(), state.absmax)
    assert torch.equal(found.values(), functions.dequantize_4bit(packed, state))
    state.dtype = torch.bfloat16
    half = functions.dequantize_4bit(packed, state)
    assert torch.equal(found.values(dtype=torch.bfloat16), half)
    bias = module[0].bias.bfloat16()
    assert torch.equal(module[0](inputs), linear(inputs, half, bias))
    own = importlib.import_module("bitsandbytes").matmul_4bit(inputs, packed.t(), quant_state=state, bias=bias)
    torch.testing.assert_close(module[0](inputs), own, rtol=0.01, atol=0.01)


@torch.no_grad()
def test_int8_is_bitsandbytes_own_bit_for_bit() -> None:
    functions = importlib.import_module("bitsandbytes.functional")
    module, inputs = small(ROWS, COLUMNS), torch.randn(9, COLUMNS).bfloat16()
    codes, scales, _ = functions.int8_vectorwise_quant(module[0].weight.detach().half())
    quantise(module, "int8")
    found = module[0].weight
    assert torch.equal(found.codes[0], codes)
    assert torch.equal(found.scales[0], scales)
    values = functions.int8_vectorwise_dequant(codes, scales)
    assert torch.equal(found.values(), values)
    bias = module[0].bias.bfloat16()
    assert torch.equal(module[0](inputs), linear(inputs, values.bfloat16(), bias))
    eight, scale, _ = functions.int8_vectorwise_quant(inputs.half())
    own = functions.int8_mm_dequant(functions.int8_linear_matmul(eight, codes), scale, scales, bias=bias.half())
    torch.testing.assert_close(module[0](inputs).float(), own.float(), rtol=0.05, atol=0.05)


@torch.no_grad()
def test_it_is_a_tensor_like_any_other() -> None:
    module = small()
    values = module[0].weight.detach().clone()
    quantise(module, "int8")
    weight = module[0].weight
    torch.testing.assert_close(weight.T + 1, values.T + 1, rtol=0, atol=2e-3)
    assert bool(torch.isfinite(weight).all())
    assert type(weight.detach()) is Quantised
    assert type(weight[3]) is Tensor
    assert "int8" in repr(weight)
    assert weight.cpu().shape == weight.shape
    before = weight
    quantise(module, "int8")
    assert module[0].weight is before, "once is enough"


@torch.no_grad()
def test_layers_are_emptied_and_filled_as_before() -> None:
    module = small()
    weight, tied = module[0].weight.detach().clone(), holders(module)
    quantise(module, "nf4")
    empty(module, ["0.weight"])
    assert absent(module) == ["0.weight"]
    fill(module, {"0.weight": weight}, tied)
    quantise(module, "nf4")
    assert isinstance(module[0].weight, Quantised)


@pytest.mark.parametrize("kind", ["qwen3_moe", "gpt_oss"])
@torch.no_grad()
def test_fused_experts_are_quantised_and_taken_one_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    common = {
        "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "intermediate_size": 32, "num_experts_per_tok": 2, "max_position_embeddings": 64, "vocab_size": 64,
    }  # fmt: skip
    config = (
        hf.Qwen3MoeConfig(**common, num_experts=4, moe_intermediate_size=32)
        if kind == "qwen3_moe"
        else hf.GptOssConfig(**common, num_local_experts=4, layer_types=["full_attention"], pad_token_id=0)
    )
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    tokens = torch.arange(12)[None]
    expected = model(tokens).logits
    layer = model.model.layers[0]
    exact = {name: each.detach().clone() for name, each in layer.named_parameters()}
    quantise(layer, "int8")
    experts = layer.mlp.experts
    assert isinstance(experts.gate_up_proj, Quantised)
    assert isinstance(experts.down_proj, Quantised)
    assert type(model.lm_head.weight) is nn.Parameter
    torch.testing.assert_close(experts.down_proj[torch.tensor(2)], exact["mlp.experts.down_proj"][2], rtol=0, atol=2e-3)
    read: list[int | None] = []
    values = Quantised.values

    def counted(self: Quantised, expert: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        read.append(expert if self.ndim == 3 else 0)
        return values(self, expert, dtype)

    monkeypatch.setattr(Quantised, "values", counted)
    found = model(tokens).logits
    assert None not in read, "never all experts at once"
    assert (found - expected).norm() / expected.norm() < 0.05


@pytest.mark.parametrize("how", ["nf4", "int8"])
def test_the_bytes_are_as_predicted(how: Any) -> None:
    module = small(512, 512)
    quantise(module, how)
    weight = module[0].weight
    held = weight.codes.nbytes + weight.scales.nbytes
    assert held == pytest.approx(bytes_of(512 * 512, 512, how), rel=0.01)


def test_zeros_stay_zeros() -> None:
    module = nn.Sequential(nn.Linear(64, 3))
    nn.init.zeros_(module[0].weight)
    for how in ("int8", "nf4"):
        quantise(module, how)
        assert not module[0].weight.values().any()
        module[0].weight = nn.Parameter(torch.zeros(3, 64))


def test_no_kernel_is_fetched_when_the_library_is_imported() -> None:
    quantise(nn.Sequential(nn.Linear(64, 64)), "nf4")
    assert sys.modules.get("kernels") is None or "kernels-community" not in repr(sys.modules["kernels"])


TAPS = ("logits", "model.layers.1")


def observed(checkpoint: Checkpoint, samples: Sequence[Sample], **how: Any) -> ListSink:
    sink = ListSink()
    with Sli().load(checkpoint, Budget(micro_batch=2, **how)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in TAPS], sink)
    return sink


@pytest.mark.parametrize("how", ["nf4", "int8", ""])
def test_however_it_is_held_it_answers_the_same(how: Any, opened: Opened, inputs: Inputs, tmp_path: Any) -> None:
    samples, ways = inputs("decoder"), ("resident", "stream", "offload")
    found = [
        observed(opened("decoder"), samples, quantise=how, residency=way, precision="bfloat16", scratch=tmp_path / way)
        for way in ways
    ]
    exact = observed(opened("decoder"), samples, residency="resident")
    for sample in samples:
        for tap in TAPS:
            first, *others = (sink.value(sample.key, tap) for sink in found)
            assert all(torch.equal(first, other) for other in others)
            expected = exact.value(sample.key, tap).float()
            assert (first.float() - expected).norm() / expected.norm() < (0.15 if how == "nf4" else 0.03)


def test_a_quantised_resident_model_answers(opened: Opened, inputs: Inputs) -> None:
    with Sli().load(opened("decoder"), Budget(micro_batch=2, quantise="nf4", precision="bfloat16")) as teacher:
        assert len(teacher.generate(inputs("decoder")[:1])) == 1
        assert isinstance(teacher.module.model.layers[0].mlp.up_proj.weight, Quantised)
        assert not isinstance(teacher.module.lm_head.weight, Quantised), "what belongs to no layer stays"


def test_offloaded_weights_are_read_once(opened: Opened, inputs: Inputs, tmp_path: Any) -> None:
    checkpoint = opened("decoder")
    with Sli().load(checkpoint, Budget(micro_batch=2, residency="offload", scratch=tmp_path)) as teacher:
        for _ in range(2):
            teacher.observe(inputs("decoder"), [Tap(path="logprob")], ListSink())
        assert teacher.room.read_bytes == checkpoint.blueprint.bytes


def test_a_device_that_is_not_here_is_named(opened: Opened) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with (
        pytest.raises(NexusError, match="No CUDA device is here"),
        Sli().load(opened("decoder"), Budget(device="cuda")),
    ):
        pass
