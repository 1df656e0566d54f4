"""Logits of a large vocabulary are made some rows at a time, and are those of the whole product bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.outputs import deferring
from nexus_engine_sli.outputs import windows as windows_of
from nexus_engine_sli.outputs.deferring import Deferred, rows_at_once, windows
from nexus_engine_sli.weights import units
from nexus_specs import Budget, Installed, NexusError, Piece, Sample, Tap, content_key
from nexus_specs.testing import ListSink

VOCABULARY = 131072
SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128, "eos_token_id": 0,
}  # fmt: skip
KINDS = {"llama": {}, "gemma2": {}, "granite": {"logits_scaling": 3.0}, "cohere": {"logit_scale": 0.3}}
"""Some scale their logits, or cap them softly, behind the head."""


def model(kind: str, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    made = hf.AutoModelForCausalLM.from_config(hf.CONFIG_MAPPING[kind](**SMALL, **KINDS[kind]))
    return made.to(dtype).eval()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("gemma2", torch.float32), ("gemma2", torch.bfloat16), ("granite", torch.float32), ("cohere", torch.bfloat16)],
)
@torch.no_grad()
def test_windows_are_the_whole_bit_for_bit(kind: str, dtype: torch.dtype, largest: Any) -> None:
    teacher, tokens = model(kind, dtype), torch.arange(3 * 70).view(3, 70)
    whole = teacher(tokens).logits
    with largest, deferring.deferring(teacher):
        scores = teacher(tokens).logits
        found = [torch.cat(list(scores.windows(at, at + 33))) for at in (140, 0, 70)]
    assert isinstance(scores, Deferred)
    assert (scores.shape, scores.dtype) == (whole.shape, whole.dtype)
    assert all(torch.equal(each, whole[at, :33]) for each, at in zip(found, (2, 0, 1), strict=True))
    assert largest.bytes <= 64 * VOCABULARY * 4 < 3 * 70 * VOCABULARY * dtype.itemsize
    assert torch.equal(teacher(tokens).logits, whole), "afterwards the head is as it was"


@torch.no_grad()
def test_what_no_row_can_take_alone_makes_them_whole() -> None:
    teacher, tokens = model("llama", torch.float32), torch.arange(70)[None]
    whole = teacher(tokens).logits
    with deferring.deferring(teacher):
        assert torch.equal(teacher(tokens).logits.argmax(-1), whole.argmax(-1))
        scores = teacher(tokens).logits
        scores[..., :5] = 0
        assert torch.equal(scores.mul_(2)[..., 3:], torch.cat([torch.zeros(1, 70, 2), whole[..., 5:] * 2], -1))
        with torch.autocast("cpu", torch.bfloat16):
            half = teacher(tokens).logits
        assert half.dtype == torch.bfloat16
        assert torch.equal(half[:, :64] + 0, next(half.windows(0, 64))[None])
        assert not isinstance(teacher(tokens[:, :64]).logits, Deferred), "few rows are made at once"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Any:
    return stored("gemma2", tmp_path_factory.mktemp("wide"), tokenizer)


def stored(kind: str, folder: Path, tokenizer: Any) -> Any:
    model(kind, torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    installed = Installed()
    return installed.make("architecture", "transformers").open(str(folder), installed)


@pytest.fixture(scope="module")
def texts() -> Sequence[Sample]:
    rows: list[dict[str, Any]] = [{"text": "rows of " * (1 + 3 * at) + str(at)} for at in (0, 4, 7)]
    return [Sample(key=content_key(fields), fields=fields) for fields in rows]


class InBlocks(ListSink):
    """Looks at logits block by block, as `extract` does, and keeps the two largest of each row."""

    def put(self, piece: Piece) -> None:
        """Keeps less than it gets."""
        if piece.tap == "logits":
            top = [torch.cat([block.topk(2).values for block in piece.blocks(at)]) for at in range(len(piece.keys))]
            piece = Piece(keys=piece.keys, tap="logits", values=top)
        super().put(piece)


def observed(checkpoint: Any, samples: Sequence[Sample], **how: Any) -> ListSink:
    sink = InBlocks()
    with Sli().load(checkpoint, Budget(micro_batch=4, **how)) as teacher:
        teacher.observe(samples, [Tap(path="logits"), Tap(path="logprob"), Tap(path="final")], sink)
    return sink


@pytest.mark.parametrize(
    ("residency", "precision"), [("resident", "float32"), ("stream", "float32"), ("stream", "bfloat16")]
)
def test_logits_of_a_batch_are_never_there_whole(
    residency: Any, precision: Any, wide: Any, texts: Sequence[Sample], largest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"residency": residency, "precision": precision}
    with largest:
        found = observed(wide, texts, **how)
    in_blocks = largest.bytes
    assert in_blocks <= 64 * VOCABULARY * 4
    monkeypatch.setattr(windows_of, "BLOCK", 1 << 40)
    with largest:
        whole = observed(wide, texts, **how)
    assert largest.bytes > 2 * in_blocks, "without windows there would be far more"
    for tap in ("logits", "logprob", "final"):
        expected = whole.values(tap)
        assert expected.keys() == found.values(tap).keys()
        assert all(torch.equal(found.value(key, tap), each) for key, each in expected.items()), tap


def test_who_reads_logits_when_all_is_over_gets_numbers(wide: Any, texts: Sequence[Sample]) -> None:
    sink = ListSink()
    with Sli().load(wide, Budget(micro_batch=4, residency="resident")) as teacher:
        teacher.observe(texts, [Tap(path="logits")], sink)
    for sample in texts:
        made = sink.value(sample.key, "logits")
        assert made.numpy().shape == made.shape, "with gradients on, what is made so late had a graph"


def test_a_head_that_is_not_finite_is_named(
    texts: Sequence[Sample], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    checkpoint = stored("llama", tmp_path, tokenizer)
    assemble = checkpoint.assemble

    def broken(part: Any, raw: Any) -> Any:
        made = dict(assemble(part, raw))
        for name in made:
            if name == "lm_head.weight" and not made[name].is_meta:
                made[name] = made[name].clone().index_fill_(0, torch.tensor([70000]), float("nan"))
        return made

    monkeypatch.setattr(checkpoint, "assemble", broken)
    with pytest.raises(NexusError, match=r"'lm_head\.weight' holds values that are not finite"):
        observed(checkpoint, texts[:2], residency="stream")


def test_a_block_is_as_large_as_said() -> None:
    assert rows_at_once(VOCABULARY) == 64
    assert rows_at_once(32000) == 256
    for total in (1, 64, 65, 200):
        for first in range(0, total, 7):
            found = windows(first, total, total, 64)
            rows = [row for begin, start, stop in found for row in range(begin + start, begin + stop)]
            assert rows == list(range(first, total))


class Grown(ListSink):
    """Keeps what little it is given, and notes the anonymous memory of the process meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[int] = []

    def put(self, piece: Piece) -> None:
        """Something small and lasting behind every sample's logits."""
        super().put(piece)
        lines = Path("/proc/self/status").read_text().splitlines()
        self.bytes += [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the memory of a process is read from Linux' /proc")
@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_memory_does_not_grow_with_the_samples(residency: Any, wide: Any) -> None:
    rows: list[dict[str, Any]] = [{"text": "rows of " * 20 + str(at)} for at in range(10)]
    samples = [Sample(key=content_key(fields), fields=fields) for fields in rows]
    sink = Grown()
    with Sli().load(wide, Budget(micro_batch=1, residency=residency)) as teacher:
        teacher.observe(samples, [Tap(path="logprob")], sink)
    one = len(sink.value(samples[0].key, "logprob")) * VOCABULARY * 4
    assert one > 15 << 20
    assert sink.bytes[-1] - sink.bytes[3] < 3 * one, "the logits of six more samples would be twice that"
