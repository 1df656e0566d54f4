"""Embeddings and heads that do not fit in memory come some rows at a time, once for all batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.rooms import streamed
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.running import streaming
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import units
from nexus_engine_sli.weights.tables import logprobs
from nexus_specs import Budget, Checkpoint, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink

Inputs = Callable[[str], Sequence[Sample]]
WORDS, WIDTH = 1100, 32
MEMORY = 140_000
"""Two blocks of some 380 of the 1100 rows of a table, of 32 numbers, fit in it."""
STATES = ("model.layers.0", "model.layers.2", "final")
COMMON: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64,
}  # fmt: skip


def untied() -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**COMMON, tie_word_embeddings=False))


def tied() -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**COMMON, tie_word_embeddings=True))


def capped() -> Any:
    """Embeddings that are scaled, logits that are capped, tied."""
    config = hf.Gemma2Config(**COMMON, head_dim=8, final_logit_softcapping=5.0, pad_token_id=0)
    return hf.Gemma2ForCausalLM(config)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits for models of some hundred kilobytes."""
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    monkeypatch.setattr(units, "ALIGNED", 64)
    monkeypatch.setattr(streaming, "LEAST", 1 << 13)


@pytest.fixture
def saved(tmp_path: Path, tokenizer: Any) -> Callable[[Callable[[], Any]], Path]:
    def folder(build: Callable[[], Any]) -> Path:
        torch.manual_seed(0)
        model = build()
        with torch.no_grad():
            model.get_input_embeddings().weight[1000:] *= 3.0
        model.save_pretrained(tmp_path / build.__name__)
        own = deepcopy(tokenizer)
        if model.config.is_encoder_decoder:
            own.pad_token = "<s>"
        own.save_pretrained(tmp_path / build.__name__)
        return tmp_path / build.__name__

    return folder


def opened(folder: Path) -> Any:
    """Its tokens are spread over the whole table."""
    installed = Installed()
    checkpoint: Any = installed.make("architecture", "transformers").open(str(folder), installed)
    collate = checkpoint.collate

    def spread(samples: Sequence[Sample]) -> Any:
        batch = collate(samples)
        batch["input_ids"] = batch["input_ids"] * 7 % WORDS
        return batch

    checkpoint.collate = spread
    return checkpoint


def observed(checkpoint: Checkpoint, room: Any, samples: Sequence[Sample], taps: Sequence[str], **budget: Any) -> Any:
    sink = ListSink()
    try:
        teacher = SliTeacher(checkpoint, room, Budget(micro_batch=2, **budget))
        teacher.observe(samples, [Tap(path=path) for path in taps], sink)
    finally:
        room.close()
    return sink


@pytest.mark.parametrize("build", [untied, tied, capped])
def test_states_are_equal_and_scores_but_for_rounding(build: Any, saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    checkpoint, samples, taps = opened(saved(build)), inputs("decoder"), (*STATES, "logprob", "logits")
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=MEMORY))
    table = "model.embed_tokens"
    assert [path for path in room.order if path.startswith(f"{table}#")]
    assert table not in room.order
    found = observed(checkpoint, room, samples, taps, memory=MEMORY, scratch=tmp_path / "scratch")
    plain = observed(checkpoint, Resident(checkpoint, "cpu"), samples, taps)
    for sample in samples:
        for tap in STATES:
            assert torch.equal(found.value(sample.key, tap), plain.value(sample.key, tap))
        for tap in ("logprob", "logits"):
            one, other = found.value(sample.key, tap), plain.value(sample.key, tap)
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    once = [path for path in room.loads if not path.startswith((table, "lm_head"))]
    assert len(once) == len(set(once))


def bart() -> Any:
    config = hf.BartConfig(
        vocab_size=WORDS, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0, forced_eos_token_id=None,
    )  # fmt: skip
    return hf.BartForConditionalGeneration(config)


def t5() -> Any:
    config = hf.T5Config(
        vocab_size=WORDS, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return hf.T5ForConditionalGeneration(config)


@pytest.mark.parametrize("memory", [0, 250_000])
@pytest.mark.parametrize("build", [bart, t5])
def test_a_table_that_encoder_and_decoder_share(
    build: Any, memory: int, saved: Any, inputs: Inputs, tmp_path: Path
) -> None:
    """Nobody calls the module under whose name it is stored: it comes when it is looked up in."""
    checkpoint, samples = opened(saved(build)), inputs("decoder")
    taps = [each for stack in checkpoint.blueprint.stacks for each in stack.layers]
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=memory))
    assert any(path.startswith(("shared", "model.shared")) for path in room.order)
    assert any("#" in path for path in room.order) == bool(memory), "in rows where the memory is small"
    found = observed(checkpoint, room, samples, (*taps, "logprob"), memory=memory, scratch=tmp_path / "scratch")
    plain = observed(checkpoint, Resident(checkpoint, "cpu"), samples, (*taps, "logprob"))
    for sample in samples:
        assert all(torch.equal(found.value(sample.key, tap), plain.value(sample.key, tap)) for tap in taps)
        one, other = found.value(sample.key, "logprob"), plain.value(sample.key, "logprob")
        if memory:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(one, other)
    assert memory or len(room.loads) == len(set(room.loads)), "each is read once"


def test_a_model_that_needs_all_its_logits(saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    """It waits for the blocks of the head in the middle of its forward."""

    def normal(_: Any, __: Any, output: Any) -> Any:
        output.logits = output.logits - output.logits.logsumexp(-1, keepdim=True)
        return output

    checkpoint, samples = opened(saved(untied)), inputs("decoder")
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=MEMORY))
    plain = Resident(checkpoint, "cpu")
    for each in (room, plain):
        each.module.register_forward_hook(normal)
    found = observed(checkpoint, room, samples, ("logits",), memory=MEMORY, scratch=tmp_path / "scratch")
    expected = observed(checkpoint, plain, samples, ("logits",))
    for sample in samples:
        one, other = found.value(sample.key, "logits"), expected.value(sample.key, "logits")
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_each_block_is_read_once_for_all_batches(saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    folder = saved(untied)
    checkpoint, samples = opened(folder), inputs("decoder")
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=MEMORY))
    observed(checkpoint, room, samples, ("logprob",), memory=MEMORY, scratch=tmp_path / "scratch")
    assert len(room.loads) == len(set(room.loads))
    heads = [path for path in room.order if path.startswith("lm_head#")]
    assert len(heads) >= 3
    assert [path for path in room.loads if path in heads] == heads
    tables = {path: unit for path, unit in room.units.items() if path.startswith("model.embed_tokens#")}
    ids = set(checkpoint.collate(samples)["input_ids"].flatten().tolist())
    needed = {path for path, unit in tables.items() if ids & set(range(unit.first, unit.first + unit.count))}
    assert len(needed) >= 3
    assert {path for path in room.loads if path in tables} == needed
    assert max(unit.bytes for unit in room.units.values()) <= 0.7 * MEMORY / 2
    assert room.read_bytes <= sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_nothing_arrives_while_words_are_looked_up(
    saved: Any, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes no time: how much of a layer arrived beside the table was chance (Kyutai STT: 30 to 120 MB)."""
    arriving: dict[str, str] = {}
    passed = Streamed.passed

    def noted(room: Streamed, path: str, output: object) -> None:
        coming = room.transport.coming                      # type: ignore[attr-defined]
        arriving.setdefault(path, coming[0] if coming else "")
        passed(room, path, output)

    monkeypatch.setattr(Streamed, "passed", noted)
    checkpoint = opened(saved(untied))
    observed(checkpoint, Streamed(checkpoint, "cpu"), inputs("decoder"), ("logprob",), scratch=tmp_path / "scratch")
    assert (arriving["model.embed_tokens"], arriving["model.layers.0"]) == ("", "model.layers.1")


@pytest.mark.parametrize("row", [0, 700])
def test_a_row_that_is_not_finite_is_named(row: int, saved: Any, inputs: Inputs, tmp_path: Path) -> None:
    folder = saved(untied)
    checkpoint = opened(folder)
    head = next(each for part in checkpoint.parts for each in part.extents if each.key == "lm_head.weight")
    with Path(head.file).open("r+b") as file:
        file.seek(head.start + 4 * WIDTH * row)
        file.write(b"\0\0\xc0\x7f")
    room = Streamed(checkpoint, "cpu", budget=Budget(memory=MEMORY))
    with pytest.raises(NexusError, match=r"'lm_head\.weight' holds values that are not finite.*safetensors"):
        observed(checkpoint, room, inputs("decoder"), ("logprob",), memory=MEMORY, scratch=tmp_path / "scratch")


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_log_probabilities_in_one_pass_over_the_blocks(scale: float) -> None:
    torch.manual_seed(0)
    states, head = torch.randn(130, 16), torch.randn(5000, 16) * scale
    head[17] = -torch.inf
    wanted = torch.randint(18, 5000, (130,))

    def blocks() -> Any:
        for first in range(0, 5000, 1024):
            rows = head[first : first + 1024]
            yield first, len(rows), lambda some, rows=rows: torch.nan_to_num(some @ rows.T, nan=-torch.inf)

    whole = torch.nan_to_num(states.double() @ head.double().T, nan=-torch.inf)
    expected = whole.gather(-1, wanted[:, None])[:, 0] - whole.logsumexp(-1)
    torch.testing.assert_close(logprobs(blocks(), states, wanted).double(), expected, rtol=1e-4, atol=1e-4 * scale)


def test_what_a_layer_left_goes_before_a_table_comes(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is mapped beside the heap, where free pages would stay (now and then: 140 MB, not 106)."""
    room, asked = Streamed(opened(saved(untied)), "cpu"), list[int | None]()
    monkeypatch.setattr(streamed, "give_back", asked.append)
    for path in ("model.embed_tokens", "model.layers.0", "model.layers.2", "lm_head"):
        room.enter(path)
    room.close()
    assert asked == [0, None, None, 0]
