"""Streamed under little memory: spilled states, split layers, experts in groups, weights on demand, damaged files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.memory import spilling
from nexus_engine_sli.outputs.aligning import positions, sequence
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.running import streaming
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import units
from nexus_engine_sli.weights.placing import one_by_one
from nexus_engine_sli.weights.quantising import Quantised
from nexus_specs import Budget, Checkpoint, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from safetensors.torch import load_file, save_file

Inputs = Callable[[str], Sequence[Sample]]
SMALL = {"vocab_size": 300, "hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 64}
TAPS = ("final", "logprob", "model.layers.1")


def llama() -> Any:
    config = hf.LlamaConfig(num_hidden_layers=5, num_key_value_heads=2, intermediate_size=128, **SMALL)
    return hf.LlamaForCausalLM(config)


def experts() -> Any:
    config = hf.Qwen3MoeConfig(
        num_hidden_layers=3, num_key_value_heads=2, intermediate_size=96, moe_intermediate_size=32, num_experts=8,
        num_experts_per_tok=2, head_dim=16, **SMALL,
    )  # fmt: skip
    return hf.Qwen3MoeForCausalLM(config)


def altup() -> Any:
    """Gemma 3n."""
    config = hf.Gemma3nTextConfig(
        num_hidden_layers=4, num_key_value_heads=2, intermediate_size=128, head_dim=16, laurel_rank=4,
        hidden_size_per_layer_input=16, vocab_size_per_layer_input=300, num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.0] * 4, layer_types=["full_attention"] * 4, **SMALL,
    )  # fmt: skip
    return hf.Gemma3nForCausalLM(config)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Callable[..., Path]:
    """A checkpoint on the disk, as its builder makes it, in a dtype."""
    made: dict[tuple[str, torch.dtype], Path] = {}

    def folder(build: Callable[[], Any], dtype: torch.dtype = torch.float32) -> Path:
        key = (build.__name__, dtype)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(build.__name__)
            torch.manual_seed(0)
            build().to(dtype).save_pretrained(made[key], max_shard_size="100KB")
            tokenizer.save_pretrained(made[key])
        return made[key]

    return folder


def opened(folder: Path) -> Any:
    installed = Installed()
    return installed.make("architecture", "transformers").open(str(folder), installed)


def observed(
    checkpoint: Checkpoint, room: Any, samples: Sequence[Sample], budget: Budget, edits: Sequence[Any] = ()
) -> ListSink:
    sink = ListSink()
    try:
        SliTeacher(checkpoint, room, budget).observe(samples, [Tap(path=path) for path in TAPS], sink, edits)
    finally:
        room.close()
    return sink


def check_equal(one: ListSink, other: ListSink, edits: Sequence[Any] = (), near: Sequence[str] = ()) -> None:
    for name in ("", *(edit.name for edit in edits)):
        for tap in TAPS:
            first, second = one.values(tap, name), other.values(tap, name)
            assert first
            assert first.keys() == second.keys()
            for key in first if tap in near else ():
                torch.testing.assert_close(first[key], second[key], rtol=1e-5, atol=1e-5)
            assert tap in near or all(torch.equal(first[key], second[key]) for key in first), (tap, name)


class Mean:
    """A module gives the mean of what it gave, of which it keeps the tensors that it was shown."""

    def __init__(self, *modules: str) -> None:
        self.name, self.modules = "+".join(modules), modules
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        self.kept.append((output, mask))

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        rows = torch.cat([state[mask] for state, mask in self.kept])
        return rows.mean(0).expand_as(output)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits for models of some hundred kilobytes."""
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    monkeypatch.setattr(streaming, "LEAST", 1 << 13)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_that_do_not_fit_go_to_the_disk_and_back(
    dtype: torch.dtype, host: bool, saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the host: as those of a device do, through memory of the host."""
    monkeypatch.setattr(spilling, "on_host", lambda _: host)
    written: list[int] = []
    close = spilling.Spill.close
    monkeypatch.setattr(spilling.Spill, "close", lambda self: (written.append(self.written), close(self)))
    checkpoint, budget = opened(saved(llama, dtype)), Budget(micro_batch=1, memory=1 << 20, scratch=tmp_path)
    monkeypatch.setattr(streaming.Observation, "_limit", lambda self: 1 << 13)
    room = Streamed(checkpoint, "cpu", dtype)
    streamed = observed(checkpoint, room, inputs("decoder"), budget)
    assert written[0] > 0
    assert sorted(room.loads) == sorted(room.order), "each unit once"
    stored = sum(path.stat().st_size for path in saved(llama, dtype).glob("*.safetensors"))
    assert room.read_bytes <= 1.02 * stored
    check_equal(streamed, observed(checkpoint, Resident(checkpoint, "cpu", dtype), inputs("decoder"), budget))


@pytest.mark.usefixtures("tiny")
def test_forwards_that_wait_take_of_the_memory_for_states(
    saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    settle = spilling.Spill.settle
    monkeypatch.setattr(spilling.Spill, "settle", lambda self, of: (limits.append(self.limit), settle(self, of)))
    monkeypatch.setattr(streaming, "WORKING", 0)
    checkpoint, samples = opened(saved(llama)), inputs("decoder")
    room = Streamed(checkpoint, "cpu")
    budget = Budget(micro_batch=1, memory=room.weights + (1 << 20), scratch=tmp_path)
    observed(checkpoint, room, samples, budget)
    assert limits[: len(samples)] == [(1 << 20) - at * streaming.WAITS for at in range(1, len(samples) + 1)]
    assert limits[-1] == limits[len(samples) - 1]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("build", [llama, experts])
def test_edits_share_the_pass_and_the_disk(
    build: Any, saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    close = spilling.Spill.close
    monkeypatch.setattr(spilling.Spill, "close", lambda self: (written.append(self.written), close(self)))
    monkeypatch.setattr(streaming.Observation, "_limit", lambda self: 1 << 13)
    checkpoint, budget = opened(saved(build)), Budget(micro_batch=1, memory=1 << 20, scratch=tmp_path)
    paths = ("model.layers.0", "model.layers.1.self_attn", "model.layers.2")

    def mean() -> list[Mean]:
        return [*(Mean(path) for path in paths)]

    room = Streamed(checkpoint, "cpu", budget=Budget(memory=340_000 if build is experts else 1 << 20))
    found = observed(checkpoint, room, inputs("decoder"), budget, mean())
    assert written[0] > 0
    assert sorted(room.loads) == sorted(room.order), "each unit once, intact and under all edits"
    assert any("#" in path for path in room.order) == (build is experts)
    whole = Resident(checkpoint, "cpu")
    if build is experts:
        one_by_one(whole.module)
    check_equal(found, observed(checkpoint, whole, inputs("decoder"), budget, mean()), mean())


@pytest.mark.usefixtures("tiny")
def test_edits_of_a_model_that_writes_into_what_a_unit_gave(saved: Any, inputs: Inputs) -> None:
    """Gemma 3n scales what its projection gives, which is a unit of its own where it is large."""
    checkpoint, budget = opened(saved(altup)), Budget(micro_batch=2)
    edits = [Mean("model.layers.1.self_attn"), Mean("model.layers.2.mlp")]
    room = Streamed(checkpoint, "cpu")
    assert "model.per_layer_model_projection" in room.order
    found = observed(checkpoint, room, inputs("decoder"), budget, edits)
    assert sorted(room.loads) == sorted(room.order)
    again = [Mean(edit.name) for edit in edits]
    check_equal(found, observed(checkpoint, Resident(checkpoint, "cpu"), inputs("decoder"), budget, again), edits)


def test_bfloat16_is_what_transformers_computes(saved: Any, inputs: Inputs) -> None:
    folder = saved(llama, torch.bfloat16)
    checkpoint, budget = opened(folder), Budget(micro_batch=2)
    found = observed(checkpoint, Streamed(checkpoint, "cpu", torch.bfloat16), inputs("decoder"), budget)
    model = hf.LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    for each in SliTeacher(checkpoint, Resident(checkpoint, "cpu"), budget).batching.batches(inputs("decoder")):
        with torch.no_grad():
            states = model.model(**each.batch, use_cache=False).last_hidden_state
        for key, row, length in zip(each.keys, states, each.batch["attention_mask"].sum(1).tolist(), strict=True):
            assert torch.equal(found.value(key, "final"), row[:length])


@pytest.mark.usefixtures("tiny")
def test_a_layer_that_is_too_large_comes_in_parts(saved: Any, inputs: Inputs) -> None:
    checkpoint, budget = opened(saved(llama)), Budget(micro_batch=2)
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=180_000))
    assert "model.layers.0" not in room.order
    assert "model.layers.0.mlp.up_proj" in room.order
    assert "model.layers.0.self_attn" in room.order
    assert "lm_head#0" in room.order
    streamed = observed(checkpoint, room, inputs("decoder"), budget)
    assert len(room.loads) == len(set(room.loads))
    resident = observed(checkpoint, Resident(checkpoint, "cpu"), inputs("decoder"), budget)
    check_equal(streamed, resident, near=("logprob",))      # sums over the vocabulary are made block by block


@pytest.mark.usefixtures("tiny")
def test_a_head_that_comes_in_blocks_is_edited(saved: Any, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "ALIGNED", 64)
    checkpoint, budget, edits = opened(saved(llama)), Budget(micro_batch=2), [Mean("lm_head"), Mean("model.layers.4")]
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=180_000))
    assert "lm_head#192" in room.order
    streamed = observed(checkpoint, room, inputs("decoder"), budget, edits)
    again = [Mean(edit.name) for edit in edits]
    resident = observed(checkpoint, Resident(checkpoint, "cpu"), inputs("decoder"), budget, again)
    check_equal(streamed, resident, edits, near=("logprob",))


@pytest.mark.usefixtures("tiny")
def test_experts_come_in_groups_and_each_once(saved: Any, inputs: Inputs) -> None:
    checkpoint, budget = opened(saved(experts)), Budget(micro_batch=2)
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=340_000))
    groups = [path for path in room.order if "#" in path]
    assert len(groups) == len(room.order) - len({path for path in room.order if "#" not in path}) >= 6
    streamed = observed(checkpoint, room, inputs("decoder"), budget)
    assert len(room.loads) == len(set(room.loads))
    whole = Resident(checkpoint, "cpu")
    one_by_one(whole.module)
    check_equal(streamed, observed(checkpoint, whole, inputs("decoder"), budget))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("how", ["nf4", "int8"])
def test_experts_in_groups_are_quantised_as_a_whole_layer_is(how: Any, saved: Any, inputs: Inputs) -> None:
    pytest.importorskip("bitsandbytes")
    checkpoint, budget, half = opened(saved(experts)), Budget(micro_batch=2), torch.bfloat16
    room = Streamed(checkpoint, "cpu", half, how, Budget(memory=250_000))
    assert len([path for path in room.order if "#" in path]) >= 6
    kinds: set[type] = set()
    bring = room._bring_group

    def looked(unit: Any) -> None:
        bring(unit)
        kinds.update(type(each) for _, each in room.groups.here.values())

    room._bring_group = looked  # type: ignore[method-assign]
    streamed = observed(checkpoint, room, inputs("decoder"), budget)
    assert kinds == {Quantised}
    assert len(room.loads) == len(set(room.loads))
    check_equal(streamed, observed(checkpoint, Resident(checkpoint, "cpu", half, how), inputs("decoder"), budget))


@pytest.mark.parametrize("room_of", [Resident, Streamed])
def test_a_weight_of_another_layer_comes_when_it_is_used(room_of: Any, saved: Any, inputs: Inputs) -> None:
    checkpoint, budget = opened(saved(llama)), Budget(micro_batch=2)

    def with_help(room: Any) -> Any:
        layers = room.module.model.layers

        def add(_: Any, arguments: Any) -> Any:
            return (torch.nn.functional.linear(arguments[0], layers[0].self_attn.q_proj.weight), *arguments[1:])

        layers[3].register_forward_pre_hook(add)
        return room

    plain = observed(checkpoint, with_help(Resident(checkpoint, "cpu")), inputs("decoder"), budget)
    found = observed(checkpoint, with_help(room_of(checkpoint, "cpu")), inputs("decoder"), budget)
    check_equal(found, plain)


def test_damaged_files_are_named(saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in saved(llama).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    checkpoint = opened(folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    file = folder / index["model.layers.3.mlp.up_proj.weight"]
    whole = file.read_bytes()
    with file.open("r+b") as handle:
        handle.truncate(len(whole) // 2)
    with pytest.raises(NexusError, match=rf"{file.name}' ends inside the tensor 'model\.layers"):
        observed(checkpoint, Streamed(checkpoint, "cpu"), inputs("decoder"), Budget())
    extent = next(
        each for part in checkpoint.parts for each in part.extents if each.key == "model.layers.3.mlp.up_proj.weight"
    )
    file.write_bytes(whole[: extent.start] + b"\0\0\xc0\x7f" + whole[extent.start + 4 :])
    with pytest.raises(NexusError, match=rf"up_proj\.weight' holds values that are not finite.*{file.name}"):
        observed(checkpoint, Streamed(checkpoint, "cpu"), inputs("decoder"), Budget())


def test_modules_beside_layers_are_tapped_or_refused(saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    checkpoint, samples = opened(saved(llama)), inputs("decoder")

    def tapped(path: str, room: Any) -> ListSink:
        sink = ListSink()
        try:
            taps = [Tap(path=path), Tap(path="logits"), Tap(path="final")]
            SliTeacher(checkpoint, room, Budget(micro_batch=2)).observe(samples, taps, sink)
        finally:
            room.close()
        return sink

    for room_of in (Resident, Streamed):
        found = tapped("lm_head", room_of(checkpoint, "cpu"))
        assert all(torch.equal(value, found.value(key, "logits")) for key, value in found.values("lm_head").items())
        found = tapped("model", room_of(checkpoint, "cpu"))
        assert all(torch.equal(value, found.value(key, "final")) for key, value in found.values("model").items())
        for path, said in (
            ("lm_haed", "no module 'lm_haed'. Did you mean 'lm_head'"), ("modell", "Did you mean 'model'"),
            ("model.layers", r"'model.layers' only holds other modules.*Name one of them: model.layers.0"),
            ("model.rotary_emb", "'model.rotary_emb' gives 1 row for 2 samples"),
        ):  # fmt: skip
            with pytest.raises(NexusError, match=said):
                tapped(path, room_of(checkpoint, "cpu"))


def test_random_numbers_are_a_forwards_own(saved: Any, inputs: Inputs) -> None:
    """Some models draw while they run (Informer): what they draw must not depend on what else is under way."""
    checkpoint, budget = opened(saved(llama)), Budget(micro_batch=2)

    def drawing(room: Any) -> Any:
        for layer in room.module.model.layers:
            layer.register_forward_pre_hook(lambda _, given: (given[0] + torch.rand_like(given[0]), *given[1:]))
        return room

    found = observed(checkpoint, drawing(Streamed(checkpoint, "cpu")), inputs("decoder"), budget)
    again = observed(checkpoint, drawing(Resident(checkpoint, "cpu")), inputs("decoder"), budget)
    check_equal(found, again)


def test_heads_of_tokens_are_no_feature_maps() -> None:
    state, mask = torch.randn(2, 3, 4, 5), torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(sequence(state, positions({}, mask)), state.flatten(2))
    assert sequence(state).shape == (2, 20, 3)


def test_streams_of_tokens_are_no_feature_maps() -> None:
    """Gemma 3n's layers give [streams, B, T, D], DeepSeek-V4's [B, T, streams, D], also where no mask is needed."""
    ids, streams = torch.ones(2, 3, dtype=torch.long), torch.randn(4, 2, 3, 5)
    tokens = positions({"input_ids": ids}, None)
    found = sequence(streams, tokens)
    assert found.shape == (2, 3, 20)
    assert torch.equal(found[1, 2], streams[:, 1, 2].flatten()), "of one token of one sample"
    assert torch.equal(sequence(streams.permute(1, 2, 0, 3), tokens), found)
    assert positions({"pixel_values": torch.ones(2, 3)}, None) is None


def test_a_packed_weight_of_which_nobody_says_how(saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    key, home = "model.layers.3.mlp.up_proj.weight", tmp_path / "integers"
    shutil.copytree(saved(llama), home)
    file = home / json.loads((home / "model.safetensors.index.json").read_text())["weight_map"][key]
    weights = load_file(file)
    save_file({**weights, key: weights[key].to(torch.float8_e4m3fn)}, file, metadata={"format": "pt"})
    budget = Budget(micro_batch=2)
    found = observed(opened(home), Streamed(opened(home), "cpu"), inputs("decoder"), budget)
    assert found.values("final"), "eight bits without scales are floats like any other"
    save_file({**weights, key: weights[key].to(torch.int32)}, file, metadata={"format": "pt"})
    with pytest.raises(NexusError, match=rf"'{key}'.*(quantization_config|quantisation).*{file.name}"):
        observed(opened(home), Streamed(opened(home), "cpu"), inputs("decoder"), budget)


@pytest.mark.usefixtures("tiny")
def test_without_scratch_nothing_is_left(
    saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(streaming.Observation, "_limit", lambda self: 1 << 13)
    there: list[list[Path]] = []
    close = spilling.Spill.close
    look = lambda self: (there.append(list((tmp_path / "temporary").glob("nexus-*"))), close(self))  # noqa: E731
    monkeypatch.setattr(spilling.Spill, "close", look)
    checkpoint = opened(saved(llama))
    observed(checkpoint, Streamed(checkpoint, "cpu"), inputs("decoder"), Budget(micro_batch=1, memory=1 << 20))
    assert there[0], "states were spilled"
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "temporary").glob("nexus-*"))


def test_a_full_disk_is_said(saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    monkeypatch.setattr(streaming.Observation, "_limit", lambda self: 1)
    checkpoint = opened(saved(llama))
    budget = Budget(micro_batch=1, memory=1 << 20, scratch=tmp_path)
    with pytest.raises(NexusError, match=r"is full.*What was extracted stays"):
        observed(checkpoint, Streamed(checkpoint, "cpu"), inputs("decoder"), budget)
