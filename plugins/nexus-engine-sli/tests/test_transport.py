"""Weights on their way to a device: two host buffers, two units there, nothing read or overwritten out of turn.

The device is a queue of work that runs as late as it can (or its copies as early as they may), so whatever is not
ordered by an event goes wrong for certain. On a real one: the last test, where there is one.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.files.reading import Reader
from nexus_engine_sli.rooms import streamed
from nexus_engine_sli.rooms.offloaded import Offloaded
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.rooms.transport import Copied
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights.unit import Unit
from nexus_specs import Budget, Extent, Installed, NexusError, Part, Tap
from nexus_specs.testing import ListSink
from nexus_torch.files import read_header, write_tensors
from torch import Tensor

UNITS, LENGTH = 7, 70_000


class Event:
    """A place in a queue."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.place = queue, len(queue.work)

    def synchronize(self) -> None:
        self.queue.run(self.place)


class Queue:
    """Work that runs when somebody waits for it, or `eager`ly up to the first wait for an event that has not passed.

    The queues of a device share a lock: two threads wait for them, and neither may run what the other is running.
    """

    def __init__(self, lock: threading.RLock, *, eager: bool) -> None:
        self.work: list[Callable[[], None] | Event] = []
        self.lock, self.done, self.eager = lock, 0, eager

    def add(self, work: Callable[[], None] | Event) -> None:
        with self.lock:
            self.work.append(work)
            while self.eager and self.done < len(self.work):
                if isinstance(each := self.work[self.done], Event) and each.queue.done < each.place:
                    return
                self.run(self.done + 1)

    def run(self, place: int) -> None:
        with self.lock:
            while self.done < place:
                each, self.done = self.work[self.done], self.done + 1
                each.synchronize() if isinstance(each, Event) else each()


class Device:
    """A `Lane` on two queues. Memory is used again as soon as nobody in Python holds it, as by torch's allocator."""

    def __init__(self, *, eager: bool) -> None:
        lock = threading.RLock()
        self.compute, self.copies = Queue(lock, eager=False), Queue(lock, eager=eager)
        self.free: list[Tensor] = []
        self.slots = 0

    def mark(self) -> Event:
        return Event(self.compute)

    @contextmanager
    def copying(self, free: Event) -> Iterator[None]:
        self.copies.add(free)
        yield

    def sums(self, weights: Any) -> Tensor:
        there, memory = torch.empty(1), next(iter(weights)).untyped_storage()
        self.copies.add(lambda: _set(there, torch.empty(0).set_(memory, 0, (LENGTH,)).sum()))
        return there

    def copied(self) -> Event:
        return Event(self.copies)

    def wait(self, event: Event) -> None:
        self.compute.add(event)

    def make(self, unit: Unit, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies, later, what the host buffer holds then."""
        self.slots += not self.free
        slot = self.free.pop() if self.free else torch.full((LENGTH,), -1.0)
        address, memory = next(iter(raw.values())).data_ptr(), slot.detach()
        self.copies.add(lambda: _set(memory, _floats(address)))
        made = slot.view(LENGTH)
        weakref.finalize(made, self.free.append, slot)
        return dict.fromkeys(unit.names, made)


def _set(there: Tensor, value: Tensor) -> None:
    there.copy_(value)


def _floats(address: int) -> Tensor:
    return torch.frombuffer((ctypes.c_float * LENGTH).from_address(address), dtype=torch.float32)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Unit]:
    """Units of one tensor each, all of whose numbers are the unit's."""
    file = tmp_path_factory.mktemp("units") / "model.safetensors"
    write_tensors(file, {f"u{at}.weight": torch.full((LENGTH,), float(at)) for at in range(UNITS)})
    entries, start = read_header(file)
    found = []
    for at in range(UNITS):
        first, last = entries[f"u{at}.weight"]["data_offsets"]
        extent = Extent(
            key=f"u{at}.weight", file=str(file), start=start + first, stop=start + last, dtype="F32", shape=(LENGTH,)
        )
        part = Part(path=f"u{at}", extents=(extent,))
        found.append(Unit(path=f"u{at}", part=part, names=(f"u{at}.weight",)))
    return found


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("order", [tuple(range(UNITS)), (0, 1, 4, 5, 2, 3, 4, 6)])
def test_a_device_sees_each_unit_whole_and_holds_two(units: list[Unit], eager: bool, order: tuple[int, ...]) -> None:
    device, reader, seen = Device(eager=eager), Reader(), []
    lane = Copied(lambda unit: reader.send_for(unit.part.extents), device.make, device)
    weight = None
    for at in order:
        lane.settle()
        weight = None                                       # dropped before the next one comes
        weight = lane.take(units[at])[f"u{at}.weight"]
        memory = torch.empty(0).set_(weight.untyped_storage(), 0, (LENGTH,))
        device.compute.add(lambda at=at, memory=memory: seen.append((at, memory.min().item(), memory.max().item())))
        assert at % 2 or not lane.suspect(f"u{at}"), "the host waits for copies here; where it does not, streams do"
        lane.expect(units[at + 1 : at + 1 + lane.ahead])
    device.compute.run(len(device.compute.work))
    lane.close()
    straight, most = order == tuple(range(UNITS)), len(reader.buffers.maps)
    reader.close()
    assert seen == [(at, float(at), float(at)) for at in order]
    assert device.slots <= (2 if straight else 3), "one that was expected in vain waits"
    assert most <= (2 if straight else 4)


def test_weights_that_are_not_finite_are_suspect(units: list[Unit]) -> None:
    device, reader = Device(eager=True), Reader()
    lane = Copied(lambda unit: reader.send_for(unit.part.extents), device.make, device)
    device.sums = lambda weights: torch.tensor([1.0, float("nan")])  # type: ignore[method-assign]
    lane.take(units[0])
    assert lane.suspect("u0")
    lane.close()
    reader.close()


def test_an_error_of_reading_is_the_error_of_taking(units: list[Unit]) -> None:
    reader = Reader()
    device = Device(eager=True)
    lane = Copied(lambda unit: reader.send_for(unit.part.extents), device.make, device)
    extent = units[0].part.extents[0]
    beyond = replace(extent, start=extent.start + (1 << 30), stop=extent.stop + (1 << 30))
    lane.expect([replace(units[0], part=Part(path="u0", extents=(beyond,)))])
    with pytest.raises(NexusError, match=r"ends inside the tensor 'u0\.weight'"):
        lane.take(units[0])
    lane.close()
    reader.close()


class Here:
    """A `Lane` of a device that is this processor: threads and queues as on another one."""

    def mark(self) -> Event:
        return Event(Queue(threading.RLock(), eager=True))

    @contextmanager
    def copying(self, free: Event) -> Iterator[None]:
        with torch.no_grad():
            yield

    def sums(self, weights: Any) -> Tensor:
        return torch.stack([each.sum(dtype=torch.float32) for each in weights if each.is_floating_point()])

    def copied(self) -> Event:
        return self.mark()

    def wait(self, event: Event) -> None:
        event.synchronize()


SMALL = {"vocab_size": 300, "hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 64}
TAPS = ("final", "logprob", "model.layers.1")


def checkpoint_of(kind: str, folder: Path, tokenizer: Any) -> Any:
    more = {"num_hidden_layers": 4, "num_key_value_heads": 2, "intermediate_size": 96}
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, **more)) if kind == "dense" else hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(moe_intermediate_size=32, num_experts=8, num_experts_per_tok=2, head_dim=16, **SMALL, **more)
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    installed = Installed()
    return installed.make("architecture", "transformers").open(str(folder), installed)


def observed(checkpoint: Any, room: Any, samples: Any, budget: Budget) -> ListSink:
    sink = ListSink()
    try:
        SliTeacher(checkpoint, room, budget).observe(samples, [Tap(path=path) for path in TAPS], sink)
    finally:
        room.close()
    return sink


@pytest.mark.parametrize(("kind", "memory"), [("dense", 0), ("experts", 250_000)])
def test_a_model_runs_through_it(
    kind: str, memory: int, inputs: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, budget = checkpoint_of(kind, tmp_path, tokenizer), Budget(micro_batch=2, memory=memory)
    plain = observed(checkpoint, Streamed(checkpoint, "cpu", budget=budget), inputs("decoder"), budget)
    monkeypatch.setattr(streamed, "transport", lambda device, begin, make: Copied(begin, make, Here()))
    room = Streamed(checkpoint, "cpu", budget=budget)
    assert isinstance(room.transport, Copied)
    found = observed(checkpoint, room, inputs("decoder"), budget)
    assert len(room.loads) == len(set(room.loads)), "each once"
    for tap in TAPS:
        assert all(torch.equal(found.values(tap)[key], each) for key, each in plain.values(tap).items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_a_gpu_it_is_the_resident_model_bit_for_bit(inputs: Any, tokenizer: Any, tmp_path: Path) -> None:
    checkpoint = checkpoint_of("dense", tmp_path, tokenizer)
    budget = Budget(micro_batch=2, device="cuda")
    expected = observed(checkpoint, Resident(checkpoint, "cuda"), inputs("decoder"), budget)
    for room in (Streamed(checkpoint, "cuda"), Offloaded(checkpoint, "cuda")):
        found = observed(checkpoint, room, inputs("decoder"), budget)
        for tap in TAPS:
            assert all(torch.equal(found.values(tap)[key], each) for key, each in expected.values(tap).items())
