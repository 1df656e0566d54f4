"""Shards: what goes in comes out, by key, verified, and taken up again where a process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.shards import STATE, Shards, ShardWriter, quantise, writing

KEYS = [f"key{index}" for index in range(5)]
NAMES = ("tokens", "spans", "ids", "probabilities", f"{STATE}layer")


def values(key: str) -> dict[str, torch.Tensor]:
    length = 3 + KEYS.index(key)
    generator = torch.Generator().manual_seed(length)
    return {
        "tokens": torch.arange(length),
        "spans": torch.stack([torch.arange(length), torch.arange(length) + 1], -1),
        "ids": torch.randint(100, (length, 4), generator=generator),
        "probabilities": torch.rand(length, 4, generator=generator),
        f"{STATE}layer": torch.randn(length, 6, generator=generator),
    }


def writer(folder: Path, **more: int) -> ShardWriter:
    return ShardWriter(folder, KEYS, NAMES, teacher="t", records=("states", "logits"), per_shard=2, **more)


def fill(into: ShardWriter, keys: list[str], names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        for key in keys:
            into.put(key, name, values(key)[name])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = writer(tmp_path, vocabulary=100)
    fill(written, KEYS)
    written.finish()
    return tmp_path


def test_what_goes_in_comes_out_by_key(folder: Path) -> None:
    shards = Shards(folder)
    assert shards.keys == tuple(KEYS)
    assert shards.states == ("layer",)
    assert "key3" in shards
    signal = shards.signal(["key4", "key0"])
    for row, key in enumerate(("key4", "key0")):
        expected, length = values(key), len(values(key)["tokens"])
        assert signal.mask[row].sum() == length
        assert torch.equal(signal.tokens[row, :length], expected["tokens"])
        assert torch.equal(signal.spans[row, :length], expected["spans"])
        assert torch.equal(signal.outputs["ids"][row, :length], expected["ids"])
        torch.testing.assert_close(
            signal.outputs["probabilities"][row, :length], expected["probabilities"], atol=1e-3, rtol=0
        )
        state = expected[f"{STATE}layer"]
        step = state.abs().amax(-1, keepdim=True) / 127
        assert bool(((signal.states["layer"][row, :length] - state).abs() <= step * 0.51).all())
    assert signal.keys == ("key4", "key0")
    assert shards.signal(["key1"], states=()).states == {}


def test_the_order_of_arrival_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    written = writer(other, vocabulary=100)
    for name in reversed(NAMES):
        fill(written, list(reversed(KEYS)), (name,))
    written.finish()
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
    }


def test_classes_are_dense(tmp_path: Path) -> None:
    written = ShardWriter(tmp_path, ["a", "b", "a"], ["output"], teacher="t")
    for key, value in (("a", 1.0), ("b", 2.0), ("a", 1.0)):
        written.put(key, "output", torch.full((3,), value))
    written.finish()
    signal = Shards(tmp_path).signal(["b", "a"])
    assert signal.outputs["output"].tolist() == [[2, 2, 2], [1, 1, 1]]
    assert signal.tokens is None
    assert signal.mask is None


def test_a_killed_extraction_goes_on(tmp_path: Path, folder: Path) -> None:
    first = writer(tmp_path / "b", vocabulary=100)
    fill(first, KEYS[:3])                                   # the first shard is whole, the second is not
    again = writer(tmp_path / "b", vocabulary=100)
    assert again.pending == KEYS[2:]
    fill(again, again.pending)
    again.finish()
    assert (tmp_path / "b" / "index.json").read_bytes() == (folder / "index.json").read_bytes()


def test_what_never_arrived_is_an_error(tmp_path: Path) -> None:
    written = writer(tmp_path)
    fill(written, KEYS, NAMES[:-1])
    with pytest.raises(NexusError, match=r"not complete.*5 of 5"):
        written.finish()


def test_an_optional_record_that_is_empty_of_all_is_not_there(tmp_path: Path) -> None:
    for name, those in (("some", ["key1"]), ("none", [])):
        writer = ShardWriter(tmp_path / name, KEYS, ("output", "spans"), optional=["spans"], teacher="t", per_shard=2)
        for key in KEYS:
            writer.put(key, "output", torch.ones(2))
            writer.put(key, "spans", torch.ones(3 if key in those else 0, 2))
        writer.finish()
        found = Shards(tmp_path / name)
        assert (found.names, writer.present()) == ((("output", "spans"), ["output", "spans"]) if those
                                                   else (("output",), ["output"]))  # fmt: skip
        assert (found.signal(KEYS).spans is None) == (not those)


def test_a_record_that_never_came_is_named(tmp_path: Path) -> None:
    into = writer(tmp_path)
    fill(into, KEYS, tuple(name for name in NAMES if not name.startswith(STATE)))
    with pytest.raises(NexusError, match=r"Nothing ever came of 'layer': it does not run"):
        into.finish()


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_the_last_time_that_a_module_runs_counts(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ALBERT's layers are one: its state was that of the first, and a hook's is that of the last. Killed, too."""
    monkeypatch.setattr(writing, "MOST", most)
    layer, states = f"{STATE}layer", {key: values(key)[f"{STATE}layer"] for key in KEYS}
    for _ in range(2):
        into = writer(tmp_path, vocabulary=100)
        for time in range(3):
            for key in KEYS:
                into.put(key, layer, states[key] + time - 2)
        into.flush()
    fill(into, KEYS, tuple(name for name in NAMES if name != layer))
    into.finish()
    signal = Shards(tmp_path).signal(KEYS)
    for row, key in enumerate(KEYS):
        found = signal.states["layer"][row, : len(states[key])]
        torch.testing.assert_close(found, states[key], atol=0.05, rtol=0)


def test_what_is_forgotten_is_observed_again(tmp_path: Path, folder: Path) -> None:
    into = writer(tmp_path / "again", vocabulary=100)
    for key in KEYS[:3]:                                    # the first shard is whole, the second one waits
        for name in NAMES:
            into.put(key, name, values(key)[name] * (key in KEYS[:2]))
    into.flush()
    into.forget()
    assert writer(tmp_path / "again", vocabulary=100).pending == KEYS[2:]
    fill(into, KEYS)
    into.finish()
    for path in folder.glob("shard-*"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_damage_is_found_when_opened(folder: Path) -> None:
    path = folder / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(NexusError, match=r"shard-00001.*damaged"):
        Shards(folder)
    path.unlink()
    with pytest.raises(NexusError, match="missing"):
        Shards(folder)


def test_an_unknown_sample_is_named(folder: Path) -> None:
    with pytest.raises(NexusError, match="no sample 'nobody'"):
        Shards(folder).signal(["nobody"])


@pytest.mark.parametrize("content", ["", "{", '{"schema": "other/1"}'])
def test_a_folder_without_index_is_refused(tmp_path: Path, content: str) -> None:
    if content:
        (tmp_path / "index.json").write_text(content)
    with pytest.raises(NexusError, match=r"index|schema"):
        Shards(tmp_path)


def test_large_vocabularies_have_wide_ids(tmp_path: Path) -> None:
    for vocabulary, high in ((100, 99), (40_000, 39_999)):
        place = tmp_path / str(vocabulary)
        written = ShardWriter(place, ["a"], ["ids"], teacher="t", vocabulary=vocabulary)
        written.put("a", "ids", torch.tensor([[high]]))
        written.finish()
        assert Shards(place).signal(["a"]).outputs["ids"].tolist() == [[[high]]]


def test_extreme_states_survive() -> None:
    stored = quantise(torch.tensor([[0.0, 0.0], [1e-9, 0], [1e9, -1e9]]))
    assert torch.isfinite(stored["state.scale"].float()).all()
    assert stored["state"][0].tolist() == [0, 0]
