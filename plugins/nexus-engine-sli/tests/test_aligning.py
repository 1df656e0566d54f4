"""Every sample gets its own numbers, those of its tokens and no padding, wherever a model keeps samples and tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.outputs.aligning import by_sample, check_routed, mask_of, positions, sequence
from nexus_engine_sli.weights import units
from nexus_specs import Basis, Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from nexus_torch.padding import Collated, unpad
from torch import Tensor, nn

Saved = Callable[[str], tuple[Path, Any]]
SMALL: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
LAYER = "model.layers.2"


def llama() -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(num_hidden_layers=4, num_key_value_heads=2, **SMALL))


def gemma3() -> Any:
    config = hf.Gemma3TextConfig(num_hidden_layers=3, num_key_value_heads=2, head_dim=16, sliding_window=8, **SMALL)
    return hf.Gemma3ForCausalLM(config)


def t5() -> Any:
    config = hf.T5Config(
        vocab_size=300, d_model=64, d_kv=16, d_ff=96, num_layers=3, num_decoder_layers=3, num_heads=4,
        decoder_start_token_id=0,
    )  # fmt: skip
    return hf.T5ForConditionalGeneration(config)


BUILDERS = {"llama": llama, "gemma3": gemma3, "t5": t5}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Saved:
    """Name of a builder -> its folder, and the model itself."""
    made: dict[str, tuple[Path, Any]] = {}

    def folder(name: str) -> tuple[Path, Any]:
        if name not in made:
            home = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            model = BUILDERS[name]().eval()
            model.save_pretrained(home)
            tokenizer.save_pretrained(home)
            made[name] = home, model
        return made[name]

    return folder


def sample(key: str, **arrays: Sequence[int]) -> Sample:
    return Sample(key=key, fields={name: np.array([values]) for name, values in arrays.items()})


def observed(home: Path, samples: Sequence[Sample], taps: Sequence[str], **budget: Any) -> ListSink:
    sink = ListSink()
    with Sli().load(Installed().open(str(home)), Budget(**budget)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in taps], sink)
    return sink


def plain(model: Any, paths: Sequence[str], **given: Any) -> tuple[Any, dict[str, Tensor]]:
    """What transformers gives, and what its modules did."""
    found: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[..., None]:
        return lambda _, __, output: found.update({path: output if isinstance(output, Tensor) else output[0]})

    handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in paths]
    with torch.no_grad():
        output = model(**{name: torch.tensor(values) for name, values in given.items()})
    for handle in handles:
        handle.remove()
    return output, found


MASKS = {
    "left": [0, 0, 0, 1, 1, 1, 1],
    "right": [1, 1, 1, 1, 0, 0, 0],
    "both sides": [0, 1, 1, 1, 1, 0, 0],
    "between": [1, 1, 0, 0, 1, 0, 1],
}


@pytest.mark.parametrize("memory", [0, 200_000], ids=["whole head", "head in blocks"])
@pytest.mark.parametrize("where", MASKS)
def test_padding_may_be_anywhere(where: str, memory: int, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    monkeypatch.setattr(units, "ALIGNED", 32)
    home, model = saved("llama")
    ids, mask = [0, 6, 0, 7, 8, 9, 10], MASKS[where]
    rows = {"input_ids": [ids, list(range(5, 12))], "attention_mask": [mask, [1] * 7]}
    samples = [sample(f"{at}", input_ids=rows["input_ids"][at], attention_mask=rows["attention_mask"][at])
               for at in range(2)]  # fmt: skip
    output, states = plain(model, [LAYER, "model.norm"], **rows)
    kept = torch.tensor(mask).bool()
    tokens, scores = torch.tensor(ids)[kept], output.logits[0, kept].log_softmax(-1)
    expected = scores[:-1].gather(-1, tokens[1:, None])[:, 0]
    if memory:
        with Sli().load(Installed().open(str(home)), Budget(residency="stream", memory=memory)) as teacher:
            assert "lm_head#128" in teacher.room.order  # type: ignore[attr-defined]
            sink = ListSink()
            teacher.observe(samples, [Tap(path="logprob")], sink)
        torch.testing.assert_close(sink.value("0", "logprob"), expected, rtol=1e-5, atol=1e-5)
    for residency in ("resident", "stream"):
        budget = {"residency": residency, "micro_batch": 2, "memory": memory if residency == "stream" else 0}
        found = observed(home, samples, (LAYER, "final", "tokens", "logits", "logprob"), **budget)
        assert torch.equal(found.value("0", LAYER), states[LAYER][0, kept])
        assert torch.equal(found.value("0", "final"), states["model.norm"][0, kept])
        assert torch.equal(found.value("0", "tokens"), tokens)
        torch.testing.assert_close(found.value("0", "logits"), output.logits[0, kept], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.value("0", "logprob"), expected, rtol=1e-5, atol=1e-5)
        assert len(found.value("1", "logprob")) == 6


def test_heads_before_tokens(saved: Saved) -> None:
    """Gemma 3 norms queries behind their turn: [B, H, T, D]. As many samples as heads, and as many tokens, too."""
    home, model = saved("gemma3")
    path = "model.layers.1.self_attn.q_norm"
    samples = [sample(f"{at}", input_ids=range(10 + at, 10 + at + length)) for at, length in enumerate((4, 9, 4, 6))]
    for micro_batch in (1, 2, 4):
        found = observed(home, samples, (path,), residency="resident", micro_batch=micro_batch)
        for each in samples:
            own = plain(model, [path], input_ids=each.fields["input_ids"])[1][path][0]
            expected = own.transpose(0, 1).flatten(1)
            torch.testing.assert_close(found.value(each.key, path), expected, rtol=1e-4, atol=1e-4)


def test_what_is_a_sample_is_told_apart() -> None:
    """B samples, T tokens, H heads of D numbers; a picture's maps are none of these."""
    for batch, tokens, heads, inner, path in (
        (4, 7, 4, 5, "layers.0.self_attn.q_norm"), (2, 4, 4, 5, "layers.0.self_attn.q_norm"),
        (3, 3, 3, 5, "layers.0.self_attn.q_norm"), (1, 7, 4, 7, "layers.0.attention.dropout"),
    ):  # fmt: skip
        states = torch.randn(batch, tokens, heads, inner)
        turned = states.transpose(1, 2) if "norm" in path else states.transpose(1, 2).contiguous()
        assert torch.equal(sequence(turned, (batch, tokens), path), states.flatten(2)), path
        assert torch.equal(sequence(states, (batch, tokens), path), states.flatten(2)) or "dropout" in path
    streams = torch.randn(4, 4, 7, 5)
    assert torch.equal(sequence(streams, (4, 7), "layers.0"), streams.permute(1, 2, 0, 3).flatten(2))
    picture = torch.randn(2, 8, 6, 6)
    assert torch.equal(sequence(picture, (2, 6), "vision.conv"), picture.flatten(2).transpose(1, 2))


ENCODED, DECODED = (5, 9, 7), (6, 3, 9)
LENGTHS = {
    "decoder.final_layer_norm": DECODED, "decoder.block.2": DECODED, "decoder.embed_tokens": DECODED,
    "decoder.dropout": DECODED, "lm_head": DECODED, "decoder.block.1.layer.1.EncDecAttention.q": DECODED,
    "decoder.block.1.layer.1.EncDecAttention.k": ENCODED, "decoder.block.1.layer.1.EncDecAttention.v": ENCODED,
    "encoder.block.2": ENCODED, "encoder.final_layer_norm": ENCODED, "encoder.embed_tokens": ENCODED,
}  # fmt: skip


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_modules_beside_an_encoder_are_as_long_as_what_they_work_on(residency: Any, saved: Saved) -> None:
    """Both are padded to the same length, so that the shape says nothing."""
    home, model = saved("t5")
    samples = [
        sample(f"{at}", input_ids=range(10, 10 + encoded), decoder_input_ids=range(20, 20 + decoded))
        for at, (encoded, decoded) in enumerate(zip(ENCODED, DECODED, strict=True))
    ]
    found = observed(home, samples, list(LENGTHS), residency=residency, micro_batch=3)
    for path, lengths in LENGTHS.items():
        assert [len(found.value(f"{at}", path)) for at in range(3)] == list(lengths), path
    for at, each in enumerate(samples):
        states = plain(model, list(LENGTHS), **each.fields)[1]
        for path in LENGTHS:
            torch.testing.assert_close(found.value(f"{at}", path), states[path][0], rtol=1e-4, atol=1e-4)


def test_a_text_alone_has_its_mask_whatever_its_model_is_called() -> None:
    """VisualBERT's layers lie in `visual_bert`: the states of a short text had rows of padding."""
    text = {"input_ids": torch.ones(2, 3, dtype=torch.long), "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    found = mask_of(text, "visual_bert.encoder.layer.0")
    assert found is not None
    assert found.tolist() == [[True, True, False], [True, True, True]]


def test_pictures_beside_text_have_no_mask_of_its() -> None:
    """As many patches as there are tokens in the longest text."""
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    batch = Collated({"input_ids": torch.ones(2, 3), "attention_mask": mask, "pixel_values": torch.ones(2, 3, 4, 4)})
    assert mask_of(batch, "vision_model.encoder.layers.0") is None
    assert positions(batch, None, "vision_model.encoder.layers.0") is None
    own = mask_of(batch, "text_model.encoder.layers.0")
    assert own is not None
    assert [len(each) for each in unpad(torch.ones(2, 3, 5), own)] == [2, 3]


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_module_that_never_runs_is_told(residency: Any, saved: Saved) -> None:
    home, _ = saved("t5")
    samples = [sample("one", input_ids=range(5), decoder_input_ids=range(3))]
    with pytest.raises(NexusError, match="'shared' did not run for any of 1 samples"):
        observed(home, samples, ("shared", "encoder.block.0"), residency=residency)
    assert not observed(home, [], ("shared",), residency=residency).pieces


def basis(width: int) -> Basis:
    return Basis(mean=torch.zeros(width), directions=torch.eye(width)[:, :2])


@pytest.mark.parametrize(
    ("taps", "said"),
    [
        ([Tap(path=LAYER), Tap(path=LAYER, basis=basis(64))], f"'{LAYER}' is tapped twice"),
        ([Tap(path="logprob"), Tap(path="logprob")], "'logprob' is tapped twice"),
        ([Tap(path="logprob", basis=basis(64))], "'logprob' is no state"),
        ([Tap(path=LAYER, basis=basis(63))], f"'{LAYER}' has 64 numbers for each token, and its basis is of 63"),
        ([Tap(path="final", basis=basis(63))], "'final' has 64 numbers for each token, and its basis is of 63"),
    ],
)
def test_taps_that_mean_nothing_are_refused(taps: list[Tap], said: str, saved: Saved) -> None:
    home, _ = saved("llama")
    with Sli().load(Installed().open(str(home)), Budget()) as teacher, pytest.raises(NexusError, match=said):
        teacher.observe([sample("one", input_ids=range(5))], taps, ListSink())


class Meeting(nn.Module):
    """Waits until somebody else runs it too, or for a while."""

    def __init__(self, inner: nn.Module, threads: int) -> None:
        super().__init__()
        self.inner, self.barrier = inner, threading.Barrier(threads)

    def forward(self, *given: Any, **named: Any) -> Any:
        try:
            self.barrier.wait(0.05)
        except threading.BrokenBarrierError:
            self.barrier.reset()
        return self.inner(*given, **named)


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_threads_that_share_a_teacher_take_turns(residency: Any, saved: Saved) -> None:
    home, _ = saved("llama")
    corpora = [[sample(f"{at} {n}", input_ids=range(3 + at, 9 + n)) for n in range(3)] for at in range(3)]
    with Sli().load(Installed().open(str(home)), Budget(residency=residency)) as teacher:
        model: Any = teacher.room.module  # type: ignore[attr-defined]
        model.model.rotary_emb = Meeting(model.model.rotary_emb, 3)
        sinks, failed = [ListSink() for _ in corpora], list[BaseException]()

        def work(samples: list[Sample], sink: ListSink) -> None:
            try:
                teacher.observe(samples, [Tap(path=LAYER)], sink)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=each) for each in zip(corpora, sinks, strict=True)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert not failed
    for samples, sink in zip(corpora, sinks, strict=True):
        assert [key for piece in sink.pieces for key in piece.keys] == [each.key for each in samples]


def test_pictures_of_any_size_are_told_apart_by_their_grids() -> None:
    """Two pictures of 16 and 32 patches, behind a merger of four; without grids it is refused unless all are alike."""
    states = torch.randn(48, 1, 5)
    grids = torch.tensor([[1, 4, 4], [1, 4, 8]])
    batch = Collated({"input_ids": torch.ones(2, 3), "image_grid_thw": grids, "pixel_values": torch.ones(48, 6)})
    for state, lengths in ((states, [16, 32]), (states[:12], [4, 8])):
        rows = by_sample(state, 2, "model.visual.blocks.1", batch)
        assert [len(each) for each in rows] == lengths
        assert torch.equal(torch.cat(list(rows)), state.flatten(0, 1))
    for pictures, known in ((torch.ones(4, 3, 8, 8), False), (torch.ones(2, 3, 8, 8), True)):
        given = Collated({"input_ids": torch.ones(2, 3), "pixel_values": pictures})
        if known:
            assert [len(each) for each in by_sample(states, 2, "vision_tower.layers.1", given)] == [24, 24]
            continue
        with pytest.raises(NexusError, match=r"'vision_tower\.layers\.1' gives 48 rows .*micro_batch 1"):
            by_sample(states, 2, "vision_tower.layers.1", given)
    assert [len(each) for each in by_sample(states, 2, "unet.down.0", {})] == [24, 24], "timesteps"


def test_one_expert_of_several_is_no_state_of_a_sample() -> None:
    for path, whole in (("layers.3.ffn.experts.expert_0", "layers.3.ffn.experts"), ("a.experts.2.fc1", "a.experts")):
        with pytest.raises(NexusError, match=rf"'{path}' is one of several .*Tap '{whole}' as a whole"):
            check_routed(path, torch.ones(6, 5), (2, 7))
        check_routed(path, torch.ones(2, 7, 5), (2, 7))
        check_routed(whole, torch.ones(6, 5), (2, 7))
