"""A memory that cannot hold what streaming takes is refused before anything is read, and told what would do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.files import reading
from nexus_engine_sli.planning.fitting import spelt
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink

Inputs = Callable[[str], Sequence[Sample]]
TAPS = ("model.layers.2", "final", "logprob")
SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
SMALL: dict[str, Any] = {
    "vocab_size": 3000, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}  # fmt: skip


def dense() -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(intermediate_size=512, **SMALL))


def experts() -> Any:
    config = hf.Qwen3MoeConfig(
        intermediate_size=96, moe_intermediate_size=64, num_experts=8, num_experts_per_tok=2, head_dim=16, **SMALL
    )
    return hf.Qwen3MoeForCausalLM(config)


@pytest.fixture(params=[dense, experts])
def checkpoint(request: pytest.FixtureRequest, tokenizer: Any, tmp_path: Path) -> Any:
    torch.manual_seed(0)
    request.param().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return Installed().open(str(tmp_path))


def observed(checkpoint: Any, samples: Sequence[Sample], memory: int) -> ListSink:
    sink = ListSink()
    with Sli().load(checkpoint, Budget(memory=memory, residency="stream", micro_batch=1)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in TAPS], sink)
    return sink


def refused(checkpoint: Any, memory: int) -> tuple[str, int]:
    """What is said, and the least that would do in bytes."""
    with pytest.raises(NexusError, match="The least that would do") as said:
        observed(checkpoint, (), memory)
    found = re.search(r"would do is ([\d.]+)(KB|MB|GB): set run\.memory, or --memory", str(said.value))
    assert found is not None, said.value
    return str(said.value), round(float(found[1]) * SIZES[found[2]])


def test_too_little_is_refused_and_what_is_named_is_enough(
    checkpoint: Any, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(reading.Reader, "send_for", lambda *_: pytest.fail("something was read"))
        said, least = refused(checkpoint, 1000)
        assert "A memory of 1KB does not hold" in said
        assert "while it runs" in said
        assert refused(checkpoint, round(0.98 * least))[1] == least
    found, whole = observed(checkpoint, inputs("decoder"), least), observed(checkpoint, inputs("decoder"), 1 << 30)
    for tap in TAPS:
        for key, value in whole.values(tap).items():
            torch.testing.assert_close(found.value(key, tap), value, rtol=1e-5, atol=1e-5)


def test_a_plan_is_told_what_load_would_say(checkpoint: Any) -> None:
    budget = Budget(memory=1000, residency="stream", micro_batch=1)
    with pytest.raises(NexusError) as planned:
        Sli().check(checkpoint, budget)
    said, least = refused(checkpoint, 1000)
    assert str(planned.value) == said
    Sli().check(checkpoint, replace(budget, memory=least))
    Sli().check(checkpoint, replace(budget, memory=0))


def test_no_limit_is_no_limit(checkpoint: Any) -> None:
    observed(checkpoint, (), 0)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 bytes"), (41, "41 bytes"), (1000, "1KB"), (1001, "1.01KB"), (999_999, "1MB"), (1_234_567, "1.24MB"),
     (3 * 10**12, "3000GB")],
)
def test_sizes_are_spelt_as_they_are_typed_and_rounded_up(count: int, expected: str) -> None:
    assert spelt(count) == expected
