"""A teacher that is observed again: behind an observation that failed, beside another one, behind its end."""

from __future__ import annotations

import errno
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.files.past_cache import Opened
from nexus_specs import Budget, Checkpoint, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from torch import nn

TAPS = ("model.layers.0", "model.layers.3", "logprob")
Open, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]


def observed(teacher: Any, samples: Sequence[Sample], taps: Sequence[str] = TAPS) -> ListSink:
    sink = ListSink()
    teacher.observe(samples, [Tap(path=path) for path in taps], sink)
    return sink


def check_equal(one: ListSink, other: ListSink, taps: Sequence[str] = TAPS) -> None:
    for tap in taps:
        found, expected = one.values(tap), other.values(tap)
        assert found, tap
        assert found.keys() == expected.keys(), tap
        assert all(torch.equal(found[key], expected[key]) for key in found), tap


@pytest.fixture
def expected(opened: Open, inputs: Inputs) -> ListSink:
    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="resident")) as teacher:
        return observed(teacher, inputs("decoder"))


@pytest.mark.parametrize("residency", ["stream", "offload"])
def test_behind_a_reading_that_failed(
    residency: Any, opened: Open, inputs: Inputs, expected: ListSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first unit, where the next observation begins."""
    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency=residency)) as teacher:
        with monkeypatch.context() as patched:
            patched.setattr(Opened, "read", _fails)
            with pytest.raises(NexusError, match="cannot be read"):
                observed(teacher, inputs("decoder"))
        check_equal(observed(teacher, inputs("decoder")), expected)


def _fails(*_: object) -> int:
    raise OSError(errno.EIO, "Input/output error")


def test_weights_that_a_model_rescales_are_rescaled_once(tmp_path: Path, tokenizer: Any, inputs: Inputs) -> None:
    """RWKV divides the weights of its blocks before the first one runs: in the memory in which they are offloaded, each
    time that they came."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "attention_hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4}
    config = hf.RwkvConfig(vocab_size=300, context_length=64, rescale_every=1, **sizes)
    hf.RwkvForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    taps, installed = ("rwkv.blocks.3", "logprob"), Installed()
    with Sli().load(installed.open(str(tmp_path)), Budget(micro_batch=2, residency="resident")) as teacher:
        resident = observed(teacher, inputs("decoder"), taps)
    with Sli().load(installed.open(str(tmp_path)), Budget(micro_batch=2, residency="offload")) as teacher:
        for _ in range(2):
            check_equal(observed(teacher, inputs("decoder"), taps), resident, taps)


def test_a_forward_that_a_module_has_for_itself_stays(opened: Open, inputs: Inputs, expected: ListSink) -> None:
    """As SqueezeBERT's layers and films have."""
    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="stream")) as teacher:
        layer = teacher.room.module.get_submodule("model.layers.1")  # type: ignore[attr-defined]
        own = layer.forward = partial(type(layer).forward, layer)
        check_equal(observed(teacher, inputs("decoder")), expected)
        assert layer.forward is own


def test_two_teachers_in_two_threads(opened: Open, inputs: Inputs, expected: ListSink) -> None:
    """The class of all modules is as it was, whichever of them is over first."""
    native, found = nn.Module.__setattr__, dict[int, ListSink]()
    first, second = threading.Event(), threading.Event()

    def run(at: int, samples: Any) -> None:
        with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="stream")) as teacher:
            found[at] = observed(teacher, samples)

    def waiting() -> Any:
        yield from inputs("decoder")[:2]
        first.set()                                         # under way
        assert second.wait(20)
        yield from inputs("decoder")[2:]

    def beside() -> Any:
        assert first.wait(20)
        yield from inputs("decoder")

    threads = [threading.Thread(target=run, args=(0, waiting())), threading.Thread(target=run, args=(1, beside()))]
    for each in threads:
        each.start()
    threads[1].join(20)
    second.set()
    threads[0].join(20)
    assert nn.Module.__setattr__ is native
    for at in (0, 1):
        check_equal(found[at], expected)


def test_one_inside_the_other(opened: Open, inputs: Inputs, expected: ListSink) -> None:
    """A sink that asks another teacher."""
    inner = list[ListSink]()

    class Asking(ListSink):
        def put(self, piece: Any) -> None:
            if not inner:
                with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="stream")) as other:
                    inner.append(observed(other, inputs("decoder")))
            super().put(piece)

    sink = Asking()
    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="stream")) as teacher:
        teacher.observe(inputs("decoder"), [Tap(path=path) for path in TAPS], sink)
    check_equal(sink, expected)
    check_equal(inner[0], expected)


@pytest.mark.parametrize("residency", ["stream", "offload"])
def test_behind_its_end(residency: Any, opened: Open, inputs: Inputs) -> None:
    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency=residency)) as teacher:
        pass
    with pytest.raises(NexusError, match="was closed"):
        observed(teacher, inputs("decoder"))


def test_in_a_process_that_was_forked_off(opened: Open, inputs: Inputs) -> None:
    """Threads that read stay behind, and it would wait for them for ever."""
    context = multiprocessing.get_context("fork")
    told: Any = context.SimpleQueue()

    def child(teacher: Any) -> None:
        try:
            observed(teacher, inputs("decoder"))
        except NexusError as error:
            told.put(str(error))

    with Sli().load(opened("decoder"), Budget(micro_batch=2, residency="stream")) as teacher:
        observed(teacher, inputs("decoder")[:1])
        process = context.Process(target=child, args=(teacher,), daemon=True)
        process.start()
        process.join(20)
        assert process.exitcode == 0
    assert "was loaded by another process" in told.get()


def test_a_unit_that_comes_again_is_no_step_back_and_no_end(tmp_path: Path, tokenizer: Any, inputs: Inputs) -> None:
    """ALBERT's layers are one: all was said to be over at its first pass, and each time again."""
    sizes = {"hidden_size": 32, "embedding_size": 16, "intermediate_size": 48, "num_attention_heads": 4}
    config = hf.AlbertConfig(vocab_size=300, num_hidden_layers=4, max_position_embeddings=64, **sizes)
    hf.AlbertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    told = list[tuple[int, int]]()

    class Watching(ListSink):
        def progress(self, done: int, total: int) -> None:
            told.append((done, total))

    with Sli().load(Installed().open(str(tmp_path)), Budget(micro_batch=1, residency="stream")) as teacher:
        teacher.observe(inputs("decoder"), [Tap(path="output")], Watching())
    assert told == sorted(told)
    assert [done == total for done, total in told].index(True) == len(told) - 1, "once, at the end"
