"""Ranges of bytes to tensors: whatever lies where, each byte once, memory used again when nobody holds it."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_engine_sli.files.reading import Reader, read, spans
from nexus_engine_sli.memory.allocating import STATM, anonymous
from nexus_engine_sli.memory.buffers import Buffers, tensor_in
from nexus_specs import Extent, NexusError
from nexus_torch.files import read_header, write_tensors


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], list[Extent]]:
    """Large and small tensors, one of which begins at an odd byte."""
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    generator = torch.Generator().manual_seed(0)
    tensors = {f"large.{at}": torch.randn(600 + at, 1024, generator=generator) for at in range(6)}
    tensors |= {"zodd": torch.arange(33, dtype=torch.uint8), "half": torch.randn(7, generator=generator).bfloat16()}
    write_tensors(file, tensors)
    entries, start = read_header(file)
    extents = [
        Extent(
            key=key, file=str(file), start=start + entry["data_offsets"][0], stop=start + entry["data_offsets"][1],
            dtype=entry["dtype"], shape=tuple(entry["shape"]),
        )
        for key, entry in entries.items()
    ]  # fmt: skip
    return tensors, extents


def test_every_tensor_comes_back(stored: Any) -> None:
    tensors, extents = stored
    found = read(extents)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_each_byte_is_read_once_and_neighbours_at_once(stored: Any) -> None:
    _, extents = stored
    reader = Reader()
    try:
        reader.read(extents)
        whole = sum(extent.stop - extent.start for extent in extents)
        assert whole <= reader.bytes <= whole + 3 * 4096
        assert len(spans(extents)) == 1
        some = [each for each in extents if each.key in ("large.0", "large.3", "zodd")]
        assert len(spans(some)) == 3
        assert [span.direct for span in spans(some)] == [True, True, False]
        assert torch.equal(reader.read(some)["large.3"], stored[0]["large.3"])
    finally:
        reader.close()


def test_memory_is_used_again_but_never_under_somebody(stored: Any) -> None:
    tensors, extents = stored
    reader = Reader()
    try:
        first = reader.read(extents)
        kept = first["large.2"][5:6]                        # a view of a weight, as some modules return
        place = reader.buffers.maps[0]
        del first
        second = reader.read(extents)
        assert len(reader.buffers.maps) == 2
        assert torch.equal(kept, tensors["large.2"][5:6])
        del kept, second
        assert reader.buffers.take(100) in (place, reader.buffers.maps[-1])
        assert len(reader.buffers.maps) == 2
    finally:
        reader.close()


class Lingering(Executor):
    """Threads that are not through with their tasks when those are done: they still hold what they were given."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def submit(self, call: Any, /, *given: Any, **named: Any) -> Future[Any]:
        self.held.append((given, named))
        done: Future[Any] = Future()
        done.set_result(call(*given, **named))
        return done


def test_memory_is_free_as_soon_as_it_was_read_however_slow_the_threads_are(stored: Any) -> None:
    tensors, extents = stored
    reader = Reader()
    reader.pool.shutdown()
    reader.pool = Lingering()  # type: ignore[assignment]
    for _ in range(3):
        found = reader.read(extents)
        assert torch.equal(found["large.5"], tensors["large.5"])
        del found
    assert len(reader.buffers.maps) == 1
    reader.close()


def test_what_is_not_aligned_is_copied() -> None:
    memory = Buffers().take(64)
    memory[3:7] = torch.tensor([1.5]).numpy().tobytes()
    assert tensor_in(memory, 3, torch.float32, (1,)).item() == 1.5
    assert tensor_in(memory, 0, torch.float32, (0, 4)).shape == (0, 4)


def test_without_direct_reading_it_is_the_same(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, extents = stored
    native = os.open

    def refuse(path: Any, flags: int, *more: Any) -> int:
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(22, "Invalid argument")
        return native(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    found = read(extents)
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_a_file_that_shrank_or_does_not_fit_is_named(stored: Any, tmp_path: Path) -> None:
    _, extents = stored
    short = tmp_path / "short.safetensors"
    short.write_bytes(Path(extents[0].file).read_bytes()[:5_000_000])
    moved = [Extent(**{**vars(each), "file": str(short)}) for each in extents]
    with pytest.raises(NexusError, match=r"short\.safetensors' ends inside the tensor 'large\.\d'"):
        read(moved)
    with pytest.raises(NexusError, match=r"'half' .* has 14 bytes, which is not BF16 \[9\]"):
        read([Extent(**{**vars(each), "shape": (9,)}) for each in extents if each.key == "half"])
    with pytest.raises(NexusError, match="cannot be read"):
        read([Extent(**{**vars(extents[0]), "file": str(tmp_path / "gone")})])


def test_maps_are_no_larger_than_what_was_asked_for_lately() -> None:
    """An embedding's goes while layers pass; parts of layers that alternate keep theirs."""
    buffers, table, layer = Buffers(), 40 << 20, 16 << 20
    held = [buffers.take(table), buffers.take(layer)]
    for _ in range(8):
        held = [held[-1], buffers.take(layer)]
    del held
    assert max(map(len, buffers.maps)) < table
    made = len(buffers.maps)
    kept = {id(each) for each in buffers.maps}
    for size in (layer, layer // 4) * 6:
        buffers.take(size)
    assert {id(each) for each in buffers.maps} <= kept
    assert len(buffers.maps) <= made


def test_an_embeddings_map_goes_with_it() -> None:
    """Layers that are larger and made into others (experts) left it there to the end: 66 of 374 MB of a Mixtral."""
    buffers, table, layer = Buffers(), 16 << 20, 40 << 20
    held = [buffers.take(table, once=True), buffers.take(layer)]
    buffers.sweep()
    assert len(buffers.maps) == 2, "it is used"
    del held[0]
    buffers.sweep()
    assert [len(each) for each in buffers.maps] == [layer]


@pytest.mark.skipif(not STATM.is_file(), reason="the system does not say what a process holds")
def test_a_small_part_in_a_large_map_leaves_the_rest() -> None:
    """Behind the widest block of an SVD's U-Net, 158 MB, come those of 12: 495 MB taken, 410 predicted."""
    buffers, wide, small = Buffers(), 160 << 20, 12 << 20
    memory = buffers.take(wide)
    memory[:] = bytes(1) * wide
    before = anonymous()
    del memory
    memory = buffers.take(small)
    assert len(memory) == wide
    assert before - anonymous() > wide - small - (8 << 20)
    memory[:small] = b"1" * small
    assert memory[small - 1 : small + 1] == b"1\0"
    assert len(Buffers().take(100)) == len(_again(Buffers(), 100, 9)), "of one page nothing is left"


def _again(buffers: Buffers, first: int, then: int) -> Any:
    buffers.take(first)
    return buffers.take(then)


def test_a_file_that_is_replaced_while_a_model_runs(stored: Any, tmp_path: Path) -> None:
    """Layers of two checkpoints would pass for one."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(Path(stored[1][0].file).read_bytes())
    extents = [replace(each, file=str(file)) for each in stored[1]]
    reader = Reader()
    try:
        reader.watch([str(file), str(tmp_path / "on a hub")])
        reader.read(extents)
        other = tmp_path / "other"
        other.write_bytes(bytes(file.stat().st_size))
        other.replace(file)
        with pytest.raises(NexusError, match=r"model.safetensors' was replaced or written to .* 'large.0'"):
            reader.read(extents)
    finally:
        reader.close()


def test_what_stays_keeps_no_more_than_it_needs() -> None:
    """A Jamba's dense layers stayed in the buffers of its experts: 961 MB held 674."""
    buffers, kept = Buffers(lately=1), []
    for size in (40 << 20, 8 << 20, 40 << 20, 8 << 20):
        memory = buffers.take(size)
        if size == 8 << 20:
            kept.append(memory)
        del memory
    assert all(len(each) < 11 << 20 for each in kept)
