"""Packed weights: every layout, written here bit by bit or by the library that defines it, gives the known values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.hugging_face.weights.packed import Packing, settings
from nexus_torch.hugging_face.weights.packed.fp8 import values
from torch import Tensor
from transformers import PreTrainedConfig

bitsandbytes = pytest.importorskip("bitsandbytes")
OLD_BIT = 2**31


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than this is unpacked in several pieces."""
    monkeypatch.setattr("nexus_torch.hugging_face.weights.packed.layout.AT_ONCE", 1024)


def unpacked(raw: dict[str, Tensor], dtype: torch.dtype | None = None, **settings: Any) -> Tensor:
    """The one weight that these tensors make."""
    found = Packing.of(settings, raw, dtype).unpack(raw)
    assert list(found) == ["layer.weight"], "one weight, and no key is left over"
    return found["layer.weight"]


def words(values: Tensor, bits: int, order: list[int] | None = None) -> Tensor:
    """Integers [R, N] -> int32 [R, N * bits / 32], number by number."""
    count = 32 // bits
    order = order or list(range(count))
    rows = []
    for row in values.tolist():
        made = []
        for first in range(0, len(row), count):
            some = row[first : first + count] + [0] * (first + count - len(row) if first + count > len(row) else 0)
            word = sum(some[column] << (bits * place) for place, column in enumerate(order))
            made.append(word - (word >= OLD_BIT) * 2 * OLD_BIT)
        rows.append(made)
    return torch.tensor(rows, dtype=torch.int32)


def block_scaled(weight: Tensor, size: tuple[int, int]) -> tuple[dict[str, Tensor], Tensor]:
    """Stored tensors and the exact values that they mean, block by block."""
    rows, columns = weight.shape
    grid = (-(-rows // size[0]), -(-columns // size[1]))
    scales, packed, exact = torch.empty(grid), torch.empty_like(weight), torch.empty_like(weight)
    for row in range(grid[0]):
        for column in range(grid[1]):
            place = (slice(row * size[0], (row + 1) * size[0]), slice(column * size[1], (column + 1) * size[1]))
            scales[row, column] = weight[place].abs().max() / 448
            packed[place] = weight[place] / scales[row, column]
            exact[place] = packed[place].to(torch.float8_e4m3fn).float() * scales[row, column]
    return {"layer.weight": packed.to(torch.float8_e4m3fn), "layer.weight_scale_inv": scales}, exact


@pytest.mark.parametrize("shape", [(576, 300), (192, 128), (128, 256), (5, 7)])
def test_block_scaled_floats_are_exact_whatever_the_size(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape) * torch.rand(shape[0], 1)
    raw, exact = block_scaled(weight, (128, 128))
    for given in ({"weight_block_size": [128, 128]}, {}):
        assert torch.equal(unpacked(raw, quant_method="fp8", **given), exact)
    assert (exact - weight).norm() / weight.norm() < 0.03, "the type's own error"


def test_many_rows_are_scaled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_torch.hugging_face.weights.packed.fp8.AT_ONCE", 70 * 70)
    torch.manual_seed(0)
    raw, exact = block_scaled(torch.randn(150, 70), (32, 16))
    assert torch.equal(unpacked(raw, quant_method="fp8", weight_block_size=[32, 16]), exact)


def test_every_code_of_eight_bits_means_what_torch_says() -> None:
    """By way of float16, where a chunk holds no NaN; by torch where it does."""
    codes = torch.arange(256, dtype=torch.uint8)
    for some in (codes, codes[codes & 0x7F != 0x7F]):
        expected = some.view(torch.float8_e4m3fn).float()
        found = values(some.view(torch.float8_e4m3fn))
        assert torch.equal(found.view(torch.int32), expected.view(torch.int32)), "bit for bit, -0 and subnormals too"
    wide = codes.view(torch.float8_e5m2)
    assert torch.equal(values(wide).view(torch.int32), wide.float().view(torch.int32))


@pytest.mark.parametrize("shape", [(256, 128), (100, 70)])
def test_a_narrow_weight_is_the_wide_one_rounded_once(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    raw, exact = block_scaled(torch.randn(shape), (32, 16))
    given: dict[str, Any] = {"quant_method": "fp8", "weight_block_size": [32, 16]}
    found = unpacked(raw, torch.bfloat16, **given)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.bfloat16())


def test_shapes_are_known_before_anything_is_read() -> None:
    """Experts that come in groups are found so."""
    raw, exact = block_scaled(torch.randn(96, 40), (64, 16))
    absent = {key: each.to("meta") for key, each in raw.items()}
    found = unpacked(absent, quant_method="fp8", weight_block_size=[64, 16])
    assert found.is_meta
    assert found.shape == exact.shape
    blocks = torch.empty(3, 10, 2, 16, dtype=torch.uint8, device="meta")
    packed = {"layer.weight_blocks": blocks, "layer.weight_scales": blocks[..., 0]}
    assert unpacked(packed, torch.bfloat16, quant_method="mxfp4").shape == (3, 64, 10)


def test_weights_are_unpacked_when_they_are_looked_up() -> None:
    raw, exact = block_scaled(torch.randn(96, 40), (64, 16))
    packing = Packing.of({"quant_method": "fp8", "weight_block_size": [64, 16]}, raw)
    found = packing.unpack(raw)
    assert dict(found).keys() == {"layer.weight"}
    assert torch.equal(found["layer.weight"], exact)
    assert found["layer.weight"] is not found["layer.weight"], "nobody holds it but who asked"


def test_the_configured_block_size_counts_and_must_fit() -> None:
    raw, exact = block_scaled(torch.randn(96, 40), (64, 16))
    assert torch.equal(unpacked(raw, quant_method="fp8", weight_block_size=[64, 16]), exact)
    with pytest.raises(NexusError, match=r"'layer.weight' has the shape \(96, 40\).*blocks of 128 x 128"):
        unpacked(raw, quant_method="fp8")
    with pytest.raises(NexusError, match="weight_block_size"):
        unpacked(raw, quant_method="fp8", weight_block_size=[0, "x"])


def test_scales_of_rows_of_everything_and_of_shared_exponents() -> None:
    weight = torch.randn(6, 64).to(torch.float8_e4m3fn)
    rows, exponents = torch.rand(6, 1), torch.randint(100, 140, (6, 2), dtype=torch.uint8)
    for scale, expected in ((rows, rows), (torch.tensor(0.5), 0.5), (torch.tensor([[0.25]]), 0.25)):
        raw = {"layer.weight": weight, "layer.weight_scale": scale}
        assert torch.equal(unpacked(raw, quant_method="fbgemm_fp8"), weight.float() * expected)
    raw = {"layer.weight": weight, "layer.weight_scale_inv": exponents}
    expected = weight.float() * 2.0 ** (exponents.float() - 127).repeat_interleave(32, 1)
    assert torch.equal(unpacked(raw, quant_method="fp8", weight_block_size=[1, 32]), expected)


def test_four_bits_in_a_checkpoint_of_eight() -> None:
    torch.manual_seed(0)
    codes, exponents = torch.randint(16, (6, 64)), torch.randint(120, 130, (6, 2), dtype=torch.uint8)
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])[codes]
    expected = values * 2.0 ** (exponents.float() - 127).repeat_interleave(32, 1)
    packed = (codes[:, ::2] + codes[:, 1::2] * 16).to(torch.uint8).view(torch.int8)
    for scale in (exponents, exponents.view(torch.float8_e8m0fnu)):
        raw = {"layer.weight": packed, "layer.scale": scale}
        assert torch.equal(unpacked(raw, quant_method="fp8", weight_block_size=[128, 128]), expected)


def test_a_scale_without_a_weight_is_something_else() -> None:
    raw = {"clip.scale": torch.ones(3)}
    assert Packing.of({"quant_method": "fp8"}, raw).groups == {"clip.scale": ("clip.scale",)}


def test_shared_exponents_of_four_bits_as_transformers_reads_them() -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    torch.manual_seed(0)
    blocks = torch.randint(256, (3, 10, 2, 16), dtype=torch.uint8)
    scales = torch.randint(110, 135, (3, 10, 2), dtype=torch.uint8)
    raw = {"layer.weight_blocks": blocks, "layer.weight_scales": scales}
    found = unpacked(raw, quant_method="mxfp4")
    assert found.shape == (3, 64, 10)
    assert torch.equal(found, convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    half = unpacked(raw, torch.bfloat16, quant_method="mxfp4")
    assert torch.equal(half, found.bfloat16()), "in the dtype that the configuration names"


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("form", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("ordered", [False, True])
def test_gptq(bits: int, form: str, ordered: bool) -> None:
    torch.manual_seed(bits)
    inputs, outputs, size = 64, 48, 16
    numbers = torch.randint(2**bits, (inputs, outputs))
    zeros = torch.randint(2**bits, (inputs // size, outputs))
    scales = (torch.rand(inputs // size, outputs) + 0.1).half()
    groups = torch.arange(inputs) // size
    if ordered:
        groups = groups[torch.randperm(inputs)]
    expected = ((numbers - zeros[groups]).float() * scales.float()[groups]).T
    stored_zeros = (zeros - int(form == "gptq")) % 2**bits
    raw = {
        "layer.qweight": words(numbers.T, bits).T.contiguous(),
        "layer.qzeros": words(stored_zeros, bits),
        "layer.scales": scales,
        "layer.g_idx": groups.int(),
    }
    settings = {"quant_method": "gptq", "bits": bits, "group_size": size, "checkpoint_format": form}
    assert torch.equal(unpacked(raw, **settings), expected)
    if not ordered:
        del raw["layer.g_idx"]
        assert torch.equal(unpacked(raw, **settings), expected)


def test_gptq_of_wrong_groups_and_words_is_refused() -> None:
    raw = {
        "layer.qweight": torch.zeros(8, 8, dtype=torch.int32), "layer.qzeros": torch.zeros(2, 1, dtype=torch.int32),
        "layer.scales": torch.ones(2, 8), "layer.g_idx": torch.full((64,), 9, dtype=torch.int32),
    }  # fmt: skip
    with pytest.raises(NexusError, match="g_idx beyond its scales"):
        unpacked(raw, quant_method="gptq", bits=4)
    with pytest.raises(NexusError, match=r"words \(8, 8\), zeros \(2, 7\), which are not of 4 bits"):
        unpacked(raw | {"layer.qzeros": torch.zeros(2, 7, dtype=torch.int32)}, quant_method="gptq", bits=4)
    raw.pop("layer.qzeros")
    with pytest.raises(NexusError, match="lacks qzeros"):
        unpacked(raw, quant_method="gptq", bits=4)


def test_awq() -> None:
    torch.manual_seed(0)
    inputs, outputs, size = 64, 40, 32
    numbers = torch.randint(16, (inputs, outputs))
    zeros = torch.randint(16, (inputs // size, outputs))
    scales = (torch.rand(inputs // size, outputs) + 0.1).half()
    groups = torch.arange(inputs) // size
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    raw = {
        "layer.qweight": words(numbers, 4, order), "layer.qzeros": words(zeros, 4, order), "layer.scales": scales
    }  # fmt: skip
    settings = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm"}
    assert torch.equal(unpacked(raw, **settings), ((numbers - zeros[groups]).float() * scales.float()[groups]).T)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("shape", [(48, 64), (1, 230)])
def test_four_bits_of_bitsandbytes(kind: str, double: bool, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape)
    packed, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=64, compress_statistics=double, quant_type=kind
    )
    expected = bitsandbytes.functional.dequantize_4bit(packed, state)
    raw = {"layer.weight": packed, **{f"layer.weight.{key}": each for key, each in state.as_dict(packed=True).items()}}
    found = unpacked(raw, quant_method="bitsandbytes")
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert 0.02 < (found - weight).norm() / weight.norm() < 0.2


def test_eight_bits_of_bitsandbytes() -> None:
    torch.manual_seed(0)
    weight = torch.randn(20, 30)
    packed, scale, _ = bitsandbytes.functional.int8_vectorwise_quant(weight.half())
    raw = {"layer.weight": packed, "layer.SCB": scale, "layer.weight_format": torch.tensor(0, dtype=torch.uint8)}
    found = unpacked(raw, quant_method="bitsandbytes")
    torch.testing.assert_close(found, bitsandbytes.functional.int8_vectorwise_dequant(packed, scale))
    assert (found - weight).norm() / weight.norm() < 0.01
    with pytest.raises(NexusError, match="tensor cores"):       # col_ampere: as releases before 0.45 wrote it
        unpacked(raw | {"layer.weight_format": torch.tensor(3, dtype=torch.uint8)}, quant_method="bitsandbytes")


def test_a_state_that_lies_is_refused() -> None:
    packed, state = bitsandbytes.functional.quantize_4bit(torch.randn(8, 64), quant_type="nf4")
    raw = {"layer.weight": packed, **{f"layer.weight.{key}": each for key, each in state.as_dict(packed=True).items()}}
    name = "layer.weight.quant_state.bitsandbytes__nf4"
    for text in (b'{"shape": [1000000000, 64], "blocksize": 64}', b"not json", b'{"blocksize": 64}', b"[]"):
        with pytest.raises(NexusError, match=r"'layer\.weight'"):
            unpacked({**raw, name: torch.tensor(list(text), dtype=torch.uint8)}, quant_method="bitsandbytes")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_integers_of_compressed_tensors(bits: int, symmetric: bool) -> None:
    torch.manual_seed(0)
    rows, columns, size = 16, 96, 32
    half = 2 ** (bits - 1)
    numbers, scales = torch.randint(-half, half, (rows, columns)), torch.rand(rows, columns // size)
    zeros = torch.zeros(rows, columns // size, dtype=torch.int64)
    raw = {
        "layer.weight_packed": words(numbers + half, bits), "layer.weight_scale": scales,
        "layer.weight_shape": torch.tensor([rows, columns]),
    }  # fmt: skip
    if not symmetric:
        zeros = torch.randint(-half, half, (rows, columns // size))
        raw["layer.weight_zero_point"] = words((zeros + half).T, bits).T.contiguous()
    expected = (numbers - zeros.repeat_interleave(size, 1)).float() * scales.repeat_interleave(size, 1)
    groups = {"group_0": {"weights": {"num_bits": bits, "type": "int", "group_size": size, "symmetric": symmetric}}}
    assert torch.equal(unpacked(raw, quant_method="compressed-tensors", config_groups=groups), expected)


@pytest.mark.parametrize("shared", [False, True])
def test_floats_of_eight_bits_in_groups_of_inputs(shared: bool) -> None:
    """Scales, or exponents (MXFP8), of each row's groups: no block of rows has one of them."""
    whole = torch.randn(6, 96)
    scale = 2.0 ** torch.randint(-4, 4, (6, 3)) if shared else torch.rand(6, 3) + 0.1
    stored = (whole / scale.repeat_interleave(32, 1)).to(torch.float8_e4m3fn)
    kept = (scale.log2() + 127).to(torch.uint8) if shared else scale
    found = unpacked({"layer.weight": stored, "layer.weight_scale": kept}, quant_method="compressed-tensors")
    assert torch.equal(found, stored.float() * scale.repeat_interleave(32, 1))


def test_eight_bits_of_compressed_tensors() -> None:
    torch.manual_seed(0)
    scales = torch.rand(6, 1)
    floats = {"layer.weight": torch.randn(6, 64).to(torch.float8_e4m3fn), "layer.weight_scale": scales}
    found = unpacked(floats, quant_method="compressed-tensors")
    assert torch.equal(found, floats["layer.weight"].float() * scales)
    integers = {"layer.weight": torch.randint(-128, 128, (6, 64), dtype=torch.int8), "layer.weight_scale": scales}
    found = unpacked(integers, quant_method="compressed-tensors")
    assert torch.equal(found, integers["layer.weight"].float() * scales)


def test_a_language_model_inside_may_be_what_is_packed() -> None:
    inner = PreTrainedConfig(quantization_config={"quant_method": "fp8"})
    assert settings(SimpleNamespace(get_text_config=lambda: inner)) == {"quant_method": "fp8"}
    assert settings(SimpleNamespace(get_text_config=lambda: {"vocab_size": 1})) == {}, "a table is no configuration"


def test_what_is_not_packed_passes_as_it_is() -> None:
    raw, _ = block_scaled(torch.randn(8, 8), (128, 128))
    plain = {"norm.weight": torch.ones(3), "head.weight": torch.ones(2, 2).bfloat16()}
    packing = Packing.of({"quant_method": "fp8"}, {**raw, **plain})
    assert packing.groups["layer.weight"] == ("layer.weight", "layer.weight_scale_inv")
    assert packing.groups["norm.weight"] == ("norm.weight",)
    found = packing.unpack(plain)
    assert all(found[name] is plain[name] for name in plain)
    assert Packing.of({}, raw).groups == {key: (key,) for key in raw}


@pytest.mark.parametrize(
    ("form", "off"),
    [("auto_round:auto_gptq", 1), ("auto_round:gptq", 1), ("auto_round", 0), ("auto_round:gptqmodel", 0)],
)
def test_auto_round_packs_as_gptq(form: str, off: int) -> None:
    """Its zeros are one too small in one of the two, as GPTQ's are."""
    torch.manual_seed(0)
    numbers, zeros, scales = torch.randint(0, 16, (64, 8)), torch.randint(1, 15, (2, 8)), torch.rand(2, 8)
    raw = {
        "layer.qweight": words(numbers.T, 4).T.contiguous(), "layer.qzeros": words(zeros - off, 4),
        "layer.scales": scales,
    }  # fmt: skip
    said = {"quant_method": "auto-round", "packing_format": form, "bits": 4, "group_size": 32, "data_type": "int"}
    found = unpacked(raw, **settings(SimpleNamespace(quantization_config=said)))
    groups = torch.arange(64) // 32
    assert torch.equal(found, ((numbers - zeros[groups]).float() * scales[groups]).T)


@pytest.mark.parametrize(
    "more", [{"packing_format": "auto_round:llm_compressor"}, {"packing_format": "auto_round", "act_bits": 8}]
)
def test_auto_round_in_another_layout_is_none_of_ours(more: dict[str, Any]) -> None:
    said = {"quant_method": "auto-round", "bits": 4, "group_size": 32, **more}
    assert settings(SimpleNamespace(quantization_config=said))["quant_method"] == "auto-round"


def test_auto_round_packs_as_awq() -> None:
    said = {"quant_method": "auto-round", "packing_format": "auto_round:auto_awq", "bits": 4, "group_size": 32}
    assert settings(SimpleNamespace(quantization_config=said))["quant_method"] == "awq"


@pytest.mark.parametrize("form", ["everything", "rows", "blocks", "exponents"])
def test_floats_of_eight_bits_as_modelopt_stores_them(form: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(130, 160).to(torch.float8_e4m3fn)
    scale, by = {
        "everything": (torch.tensor(0.25), torch.tensor(0.25)),
        "rows": ((rows := torch.rand(130)), rows[:, None]),
        "blocks": (
            (grid := torch.rand(2, 1, 2, 1)),
            grid[:, 0, :, 0].repeat_interleave(128, 0)[:130].repeat_interleave(128, 1)[:, :160],
        ),
        "exponents": (
            (powers := torch.randint(120, 130, (130, 5), dtype=torch.uint8)),
            torch.exp2(powers.float() - 127).repeat_interleave(32, 1),
        ),
    }[form]
    raw = {"layer.weight": weight, "layer.weight_scale": scale}
    assert torch.equal(unpacked(raw, quant_method="modelopt", quant_algo="FP8"), weight.float() * by)


def test_floats_of_four_bits_as_modelopt_stores_them() -> None:
    packed = torch.tensor([[0x21, 0x43, 0x65, 0x87, 0xA9, 0xCB, 0xED, 0x0F]], dtype=torch.uint8)
    values = [0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6, 0]
    raw = {"layer.weight": packed, "layer.weight_scale": torch.tensor([[2.0]]).to(torch.float8_e4m3fn)}
    settings = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    found = unpacked({**raw, "layer.weight_scale_2": torch.tensor(0.25)}, **settings)
    assert torch.equal(found, torch.tensor([values]) * 0.5)
    with pytest.raises(NexusError, match=r"lies in torch\.uint8"):
        unpacked(raw, **settings)
    with pytest.raises(NexusError, match=r"scales \(1, 2\), one for 16 inputs"):
        unpacked({**raw, "layer.weight_scale": torch.ones(1, 2), "layer.weight_scale_2": torch.ones(1)}, **settings)
