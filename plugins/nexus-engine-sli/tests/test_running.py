"""Resident, streamed and edited running against plain forwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_specs import Basis, Budget, Checkpoint, NexusError, NotResident, Part, Sample, Tap
from nexus_specs.testing import ListSink

Opened, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]
TAPS = {
    "decoder": ("tokens", "spans", "final", "logits", "logprob", "model.layers.1"),
    "pictures": ("output", "vit.layers.1"),
    "convolutions": ("output", "mobilenet_v2.layer.3"),
}


class Mean:
    """Mean-ablation of whole modules."""

    def __init__(self, *modules: str) -> None:
        self.name, self.modules = "mean:" + "+".join(modules), modules
        self.seen_by: dict[str, list[torch.Tensor]] = {}

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        rows = output[mask] if mask is not None else output.transpose(0, 1).flatten(0, 1)
        self.seen_by.setdefault(path, []).append(rows if mask is not None else output)

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        return torch.cat(self.seen_by[path]).mean(0).expand_as(output).clone()


class Half(Mean):
    """Leaves half of what the modules give, whatever they were given, and adds half of the mean."""

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        return (output + super().apply(path, inputs, output)) / 2


@contextmanager
def plainly(module: torch.nn.Module, edit: Mean) -> Any:
    """Replaces outputs by hooks, as anyone would."""

    def hook(path: str) -> Any:
        def replaced(_: Any, inputs: Any, output: Any) -> Any:
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            made = edit.apply(path, None, tensor)
            return made if isinstance(output, torch.Tensor) else (made, *output[1:])

        return replaced

    handles = [module.get_submodule(path).register_forward_hook(hook(path)) for path in edit.modules]
    yield
    for handle in handles:
        handle.remove()


def observed(
    checkpoint: Checkpoint, samples: Sequence[Sample], taps: Sequence[str], **how: Any
) -> tuple[ListSink, int]:
    edits, sink = how.pop("edits", ()), ListSink()
    with Sli().load(checkpoint, Budget(micro_batch=2, **how)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in taps], sink, edits)
        return sink, teacher.passes  # type: ignore[attr-defined]


def check_equal(one: ListSink, other: ListSink, taps: Sequence[str], edits: Sequence[str] = ("",)) -> None:
    for tap in taps:
        for edit in edits:
            first, second = one.values(tap, edit), other.values(tap, edit)
            assert first, (tap, edit)
            assert first.keys() == second.keys(), (tap, edit)
            assert all(torch.equal(first[key], second[key]) for key in first), (tap, edit)


@pytest.mark.parametrize("name", TAPS)
def test_streamed_is_resident_bit_for_bit(name: str, opened: Opened, inputs: Inputs) -> None:
    resident, _ = observed(opened(name), inputs(name), TAPS[name])
    streamed, passes = observed(opened(name), inputs(name), TAPS[name], residency="stream")
    check_equal(resident, streamed, TAPS[name])
    layers = sum(stack.count for stack in opened(name).blueprint.stacks)
    assert passes == 3 * layers, "three batches, each layer once"


@pytest.mark.parametrize("how", ["resident", "stream"])
def test_half_precision_is_near_and_the_same_however_it_runs(how: Any, opened: Opened, inputs: Inputs) -> None:
    taps = ["logits", "model.layers.1"]
    exact, _ = observed(opened("decoder"), inputs("decoder"), taps)
    half, _ = observed(opened("decoder"), inputs("decoder"), taps, precision="bfloat16", residency="resident")
    again, _ = observed(
        opened("decoder"), inputs("decoder"), taps, precision="bfloat16", residency=how, edits=[Mean("model.layers.2")]
    )
    check_equal(half, again, taps)
    for key, expected in exact.values("logits").items():
        found = half.values("logits")[key].float()
        assert not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0.01)
    assert not torch.is_autocast_enabled("cpu")
    assert torch.is_autocast_cache_enabled()


def test_states_are_projected_in_full_precision(opened: Opened, inputs: Inputs) -> None:
    basis = Basis(mean=torch.zeros(32), directions=torch.eye(32)[:, :5] * 1.01, scale=1.0)
    states, _ = observed(opened("decoder"), inputs("decoder"), ["model.layers.1"], precision="bfloat16")
    sink = ListSink()
    with Sli().load(opened("decoder"), Budget(micro_batch=2, precision="bfloat16")) as teacher:
        teacher.observe(inputs("decoder"), [Tap(path="model.layers.1", basis=basis)], sink)
    for key, found in sink.values("model.layers.1").items():
        assert torch.equal(found, states.values("model.layers.1")[key].float() @ basis.directions)


def test_small_media_pass_more_at_once_and_texts_do_not(opened: Opened, inputs: Inputs) -> None:
    for name, most in (("pictures", 16), ("decoder", 2)):
        with Sli().load(opened(name), Budget(micro_batch=2)) as teacher:
            assert max(len(each.keys) for each in teacher.batching.batches(inputs(name))) == most  # type: ignore[attr-defined]
    large = Sample(key="0" * 64, fields={"image": torch.zeros(64, 64, 3).numpy()})
    with Sli().load(opened("pictures"), Budget(micro_batch=2)) as teacher:
        assert [len(each) for each in teacher.batching.grouped([large] * 5)] == [2, 2, 1]  # type: ignore[attr-defined]


def test_texts_of_like_length_pass_together(opened: Opened, inputs: Inputs) -> None:
    texts = [Sample(key=f"{at:064x}", fields={"text": "word " * length}) for at, length in enumerate((9, 1, 8, 2, 7))]
    with Sli().load(opened("decoder"), Budget(micro_batch=2)) as teacher:
        groups = [[int(each.key, 16) for each in group] for group in teacher.batching.grouped(texts)]  # type: ignore[attr-defined]
        assert groups == [[1, 3], [4, 2], [0]]
        pictures = inputs("pictures")
        assert teacher.batching.by_length(pictures) == (pictures, [])  # type: ignore[attr-defined]
    assert opened("pictures").lengths(inputs("pictures")) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TAPS)
def test_edits_equal_plain_ablation_at_the_theoretical_cost(name: str, opened: Opened, inputs: Inputs) -> None:
    checkpoint, samples = opened(name), inputs(name)
    layers = [path for stack in checkpoint.blueprint.stacks for path in stack.layers]
    if name == "convolutions":
        layers = layers[:3]
    edits, last = [Mean(path) for path in layers], TAPS[name][0] if name != "decoder" else "logprob"
    sink, passes = observed(checkpoint, samples, [last], edits=edits)
    plain, _ = observed(checkpoint, samples, [last])
    check_equal(sink, plain, [last])
    total, batches = sum(stack.count for stack in checkpoint.blueprint.stacks), 3
    assert passes == batches * (total + sum(total - 1 - index for index in range(len(layers))))
    with Sli().load(checkpoint, Budget(micro_batch=2)) as teacher:
        for edit in edits:
            assert teacher.module is not None
            expected = ListSink()
            with plainly(teacher.module, edit):
                teacher.observe(samples, [Tap(path=last)], expected)
            found = sink.values(last, edit.name)
            assert all(torch.equal(found[key], each) for key, each in expected.values(last).items()), edit.name


def test_edits_are_equal_streamed(opened: Opened, inputs: Inputs) -> None:
    names = [*opened("decoder").blueprint.largest_stack.layers, "model.layers.1.mlp", "model.embed_tokens"]
    taps = ["logprob", "model.layers.2"]
    found = [
        observed(opened("decoder"), inputs("decoder"), taps, edits=[Mean(name) for name in names], residency=how)[0]
        for how in ("resident", "stream")
    ]
    check_equal(found[0], found[1], taps, ["", *(f"mean:{name}" for name in names)])
    intact, changed = (found[0].values("logprob", edit) for edit in ("", "mean:model.layers.1.mlp"))
    assert not any(torch.equal(intact[key], changed[key]) for key in intact)


def test_taps_inside_a_layer_are_observed_under_edits_before_it(opened: Opened, inputs: Inputs) -> None:
    tap, edits = "model.layers.2.self_attn", [Mean("model.layers.0"), Mean("model.layers.2")]
    sink, _ = observed(opened("decoder"), inputs("decoder"), [tap], edits=edits)
    assert len(sink.values(tap)) == len(sink.values(tap, "mean:model.layers.0")) == len(inputs("decoder"))
    assert not sink.values(tap, "mean:model.layers.2"), "what replaces a layer does not run what is inside"


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("modules", [("model.layers.1", "model.layers.3"), ("model.layers.1", "model.layers.1.mlp"),
                                     ("model.layers.2.self_attn.q_proj", "model.layers.2.self_attn")])  # fmt: skip
def test_an_edit_of_two_modules(modules: Sequence[str], residency: Any, opened: Opened, inputs: Inputs) -> None:
    """One beside the other, and one inside the other."""
    both = Half(*modules)
    sink, _ = observed(opened("decoder"), inputs("decoder"), ["logprob"], edits=[both], residency=residency)
    with Sli().load(opened("decoder"), Budget(micro_batch=2)) as teacher:
        expected = ListSink()
        with plainly(teacher.module, both):  # type: ignore[arg-type]
            teacher.observe(inputs("decoder"), [Tap(path="logprob")], expected)
    for key, each in expected.values("logprob").items():
        assert torch.equal(sink.value(key, "logprob", both.name), each)


def test_values_are_what_they_say(opened: Opened, inputs: Inputs) -> None:
    samples = inputs("decoder")
    sink, _ = observed(opened("decoder"), samples, TAPS["decoder"])
    for sample in samples:
        tokens, logits, logprob = (sink.value(sample.key, tap) for tap in ("tokens", "logits", "logprob"))
        assert len(tokens) == len(logits) == len(logprob) + 1
        expected = logits[:-1].log_softmax(-1).gather(-1, tokens[1:, None])[:, 0]
        torch.testing.assert_close(logprob, expected)


def test_a_basis_is_applied_where_the_state_arises(opened: Opened, inputs: Inputs) -> None:
    basis = Basis(mean=torch.ones(32), directions=torch.eye(32)[:, :3], scale=2.0)
    with Sli().load(opened("decoder"), Budget()) as teacher:
        whole, projected = ListSink(), ListSink()
        teacher.observe(inputs("decoder"), [Tap(path="model.layers.0")], whole)
        teacher.observe(inputs("decoder"), [Tap(path="model.layers.0", basis=basis)], projected)
    for key, state in whole.values("model.layers.0").items():
        torch.testing.assert_close(projected.value(key, "model.layers.0"), (state[:, :3] - 1) / 2)


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_tap_hands_out_what_a_layer_gave_though_it_is_written_to_later(
    residency: Any, opened: Opened, inputs: Inputs
) -> None:
    tap, samples = "resnet.encoder.stages.0.layers.0.layer", inputs("residual")[:3]
    seen, kept = [], ListSink()
    with Sli().load(opened("residual"), Budget(micro_batch=1, residency=residency)) as teacher:
        module = teacher.room.module.get_submodule(tap)  # type: ignore[attr-defined]
        module.register_forward_hook(lambda _, __, output: seen.append((output, output.clone())))
        teacher.observe(samples, [Tap(path=tap)], kept)
    assert any(not torch.equal(now, then) for now, then in seen), "the model adds the residual to it in place"
    rows = torch.cat([then.flatten(2).transpose(1, 2) for _, then in seen])
    assert all(torch.equal(kept.value(sample.key, tap), row) for sample, row in zip(samples, rows, strict=True))


def test_weights_stay_out_of_memory_when_streamed(opened: Opened, inputs: Inputs) -> None:
    checkpoint = opened("decoder")
    room = Streamed(checkpoint, "cpu")
    try:
        room.enter("model.layers.0")
        room.enter("model.layers.2")
        loaded = {name for name, each in room.module.named_parameters() if not each.is_meta and ".layers." in name}
        assert {name.split(".")[2] for name in loaded} == {"2"}
    finally:
        room.close()


def test_memory_decides_between_the_two(opened: Opened) -> None:
    blueprint = opened("decoder").blueprint
    small = Sli().estimate(blueprint, 10, 0, Budget(memory=4 * blueprint.parameters))
    large = Sli().estimate(blueprint, 10, 0, Budget(memory=1 << 30))
    assert "layer by layer" in small.how
    assert "in memory" in large.how
    assert small.memory < large.memory


def test_answers_need_a_resident_teacher(opened: Opened, inputs: Inputs) -> None:
    with (
        Sli().load(opened("decoder"), Budget(residency="stream")) as teacher,
        pytest.raises(NotResident, match="streamed"),
    ):
        teacher.generate(inputs("decoder"))
    with Sli().load(opened("decoder"), Budget(micro_batch=2)) as teacher:
        assert len(teacher.generate(inputs("decoder"))) == len(inputs("decoder"))


def test_what_is_not_there_is_named(opened: Opened, inputs: Inputs) -> None:
    with pytest.raises(NexusError, match=r"no module 'model\.layers\.9'"):
        observed(opened("decoder"), inputs("decoder"), ["model.layers.9"])
    with pytest.raises(NexusError, match="no 'logprob' to observe"):
        observed(opened("pictures"), inputs("pictures"), ["logprob"])


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_what_is_optional_and_not_there_is_empty(opened: Opened, inputs: Inputs, residency: Any) -> None:
    sink, samples = ListSink(), inputs("pictures")
    lacking = [Tap(path=name, optional=True) for name in ("tokens", "spans", "logprob")]
    with Sli().load(opened("pictures"), Budget(residency=residency, micro_batch=2)) as teacher:
        teacher.observe(samples, [*lacking, Tap(path="output", optional=True)], sink)
        for sample in samples:
            assert [list(sink.value(sample.key, tap.path).shape) for tap in lacking] == [[0], [0, 2], [0]]
            assert sink.value(sample.key, "output").numel()
        with pytest.raises(NexusError, match=r"no 'tokens or spans or logprob' to observe\. It has: output"):
            teacher.observe(samples, lacking, ListSink())


class Forgetful:
    """A checkpoint that loses a tensor."""

    def __init__(self, inner: Checkpoint) -> None:
        self.inner, self.blueprint = inner, inner.blueprint
        self.skeleton, self.assemble, self.collate = inner.skeleton, inner.assemble, inner.collate
        self.parts = tuple(self._less(part) for part in inner.parts)

    def _less(self, part: Part) -> Part:
        return replace(part, extents=tuple(each for each in part.extents if "layers.1.mlp" not in each.key))


def test_missing_weights_are_named(opened: Opened, inputs: Inputs) -> None:
    forgetful: Any = Forgetful(opened("decoder"))
    with pytest.raises(NexusError, match=r"no weights for 3 tensors.*layers\.1\.mlp"):
        observed(forgetful, inputs("decoder"), ["logprob"])
    with pytest.raises(NexusError, match=r"layer 'model\.layers\.1'"):
        observed(forgetful, inputs("decoder"), ["logprob"], residency="stream")


def test_a_checkpoint_may_say_which_samples_go_together(opened: Opened, inputs: Inputs) -> None:
    checkpoint: Any = opened("decoder")
    seen: list[int] = []
    collate = checkpoint.collate

    def counted(samples: Sequence[Sample]) -> Any:
        seen.append(len(samples))
        return collate(samples)

    checkpoint.groups = lambda samples: [[0, 3, 4], [1, 2]]
    checkpoint.collate = counted
    sink, _ = observed(checkpoint, inputs("decoder"), ["logprob"])
    assert seen == [2, 1, 2]
    assert len(sink.values("logprob")) == 5


@pytest.mark.parametrize("how", ["resident", "stream"])
def test_a_sample_that_the_model_itself_refuses_is_named(how: Any, opened: Opened, inputs: Inputs) -> None:
    checkpoint = opened("decoder")
    collate = checkpoint.collate

    def beyond(samples: Any) -> Any:
        batch = collate(samples)
        batch["input_ids"][-1, 0] = 5000
        return batch

    checkpoint.collate = beyond  # type: ignore[method-assign]
    first = inputs("decoder")[0].key
    with pytest.raises(NexusError, match=rf"cannot run the sample '{first}': IndexError.*input_ids \[1,"):
        observed(checkpoint, inputs("decoder")[:1], ["final"], residency=how)
