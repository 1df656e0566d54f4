"""Whole profiles of tiny teachers."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.teacher import SliTeacher
from nexus_profile_niwt import states
from nexus_profile_niwt.ablation import MeanAblation
from nexus_profile_niwt.options import NiwtOptions
from nexus_profile_niwt.profiler import Niwt, choose, spread
from nexus_specs import Installed, NexusError, Piece, Profile, Sample, Tap
from nexus_specs.testing import ListSink, LocalContext
from nexus_torch.profiles import read_bases

IDLE = "model.layers.2"


def profiled(opening: Any, folder: Path, samples: list[Sample], metric: str, place: Path, **options: Any) -> Profile:
    context = LocalContext(folder=place, subject="teacher")
    with opening(folder, **options.pop("budget", {})) as teacher:
        found = Niwt(**options).profile(teacher, iter(samples), Installed().make("metric", metric), context)
    return replace(found, home=str(context.artefact))


def test_an_idle_layer_has_no_importance(opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path) -> None:
    profile = profiled(opening, decoder, texts, "bits_per_byte", tmp_path)
    by_path = {layer.path: layer for layer in profile.layers}
    assert len(by_path) == 4
    assert by_path[IDLE].importance == pytest.approx(0, abs=1e-6)
    assert not by_path[IDLE].critical
    assert max(abs(layer.importance) for layer in profile.layers) > 0.05
    assert all(layer.low <= layer.importance <= layer.high for layer in profile.layers)
    assert profile.score > 0
    assert profile.blueprint.head == "LlamaForCausalLM"


def test_importance_is_what_plain_ablation_says(
    opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path
) -> None:
    metric = Installed().make("metric", "bits_per_byte")
    profile = profiled(opening, decoder, texts, "bits_per_byte", tmp_path)
    with opening(decoder) as teacher:
        layer = teacher.module.get_submodule("model.layers.1")
        mean = contribution(teacher, texts, layer)
        plain = score(metric, teacher, texts)
        handle = layer.register_forward_hook(lambda _, inputs, output: inputs[0] + mean)
        ablated = score(metric, teacher, texts)
        handle.remove()
    expected = (ablated - plain) / (metric.floor(texts, texts) - plain)
    assert profile.layers[1].importance == pytest.approx(expected, rel=1e-4)


class Killed(Exception):
    """In the place of a signal."""


def test_a_streamed_profile_that_was_killed_goes_on(
    opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_engine_sli.resuming.checkpoints.EVERY", 0.0)
    monkeypatch.setattr("nexus_engine_sli.resuming.checkpoints.SHARE", 0)
    monkeypatch.setattr(states, "room_for", lambda *_: 1 << 20)
    entered: list[str] = []
    enter = Streamed.enter

    def counted(self: Any, path: str) -> None:
        entered.append(path)
        if path == "model.layers.3" and entered.count(path) == 1:
            raise Killed
        enter(self, path)

    monkeypatch.setattr(Streamed, "enter", counted)
    budget = {"residency": "stream", "scratch": tmp_path / "scratch"}
    with pytest.raises(Killed):
        profiled(opening, decoder, texts, "bits_per_byte", tmp_path / "one", budget=budget)
    first = len(entered)
    found = profiled(opening, decoder, texts, "bits_per_byte", tmp_path / "one", budget=budget)
    assert entered[first] == "model.layers.3", "it went on there, under all edits"
    again = {**budget, "scratch": tmp_path / "other"}
    assert found.layers == profiled(opening, decoder, texts, "bits_per_byte", tmp_path / "two", budget=again).layers
    one, two = ((tmp_path / name / "artefact" / "bases.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two, "of states from both processes"


def contribution(teacher: Any, texts: list[Sample], layer: Any) -> torch.Tensor:
    rows = []

    def look(_: Any, inputs: Any, output: Any) -> None:
        rows.append((output - inputs[0])[0])

    handle = layer.register_forward_hook(look)
    for each in texts:
        teacher.observe([each], [Tap(path="logprob")], ListSink())
    handle.remove()
    return torch.cat(rows).mean(0)


def score(metric: Any, teacher: Any, texts: list[Sample]) -> float:
    sink = ListSink()
    teacher.observe(texts, metric.taps, sink)
    outputs = {tap.path: [sink.value(each.key, tap.path) for each in texts] for tap in metric.taps}
    return float(metric.reduce(metric.measure(texts, outputs)))


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_profile_is_the_same_bytes_each_time(
    residency: str, opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path
) -> None:
    one, other = (
        profiled(opening, decoder, texts, "bits_per_byte", tmp_path / name, budget={"residency": how})
        for name, how in (("one", "resident"), ("other", residency))
    )
    assert replace(one, home="") == replace(other, home="")
    first, second = ((tmp_path / name / "artefact" / "bases.safetensors").read_bytes() for name in ("one", "other"))
    assert first == second


@pytest.mark.parametrize(("room", "times"), [(1 << 20, 1), (30_000, 2), (0, 2)])
def test_a_streamed_teacher_is_observed_once_where_its_states_find_room(
    room: int, times: int, opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    one = profiled(opening, decoder, texts, "bits_per_byte", tmp_path / "one")
    edits: list[int] = []
    observe = SliTeacher.observe
    monkeypatch.setattr(SliTeacher, "observe", lambda *given: (edits.append(len(given[4:])), observe(*given))[1])
    monkeypatch.setattr(states, "room_for", lambda *_: room)
    budget = {"residency": "stream"}
    other = profiled(opening, decoder, texts, "bits_per_byte", tmp_path / "other", budget=budget)
    assert edits == [1, 0][:times]
    assert replace(one, home="") == replace(other, home="")
    first, second = ((tmp_path / name / "artefact" / "bases.safetensors").read_bytes() for name in ("one", "other"))
    assert first == second
    assert not list(tmp_path.rglob(states.FILE)), "they are gone"


def test_states_are_let_go_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = states.States(tmp_path, ["a.0"], 1000)
    piece = Piece(keys=("k", "l"), tap="a.0", values=[torch.ones(2, 3)] * 2)
    kept.put(piece)
    kept.put(piece)
    sink = ListSink()
    assert not kept.give(["a.0"], ["k", "m"], sink)
    assert kept.give(["a.0"], ["k", "l"], sink)
    assert [each.keys for each in sink.pieces] == [("k", "l")]
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    kept.put(replace(piece, keys=("m", "n")))
    assert not kept.give(["a.0"], ["k"], sink)
    assert not list(tmp_path.iterdir())


def test_an_intact_tap_gives_nothing_under_edits(opening: Any, decoder: Path, texts: list[Sample]) -> None:
    paths = ["model.layers.0", "model.layers.1"]
    taps = [Tap(path="logprob"), Tap(path="final", intact=True), *(Tap(path=path, intact=True) for path in paths)]
    for residency in ("resident", "stream"):
        sink = ListSink()
        with opening(decoder, residency=residency) as teacher:
            teacher.observe(texts, taps, sink, [MeanAblation(path) for path in paths])
        assert {each.edit for each in sink.pieces if each.tap == "logprob"} == {"", *paths}
        assert {each.edit for each in sink.pieces if each.tap != "logprob"} == {""}


def test_bases_fit_the_states(opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path) -> None:
    profile = profiled(opening, decoder, texts, "bits_per_byte", tmp_path, rank=8, variance=1.0, layers=3)
    bases = read_bases(profile)
    assert set(bases) <= {layer.path for layer in profile.layers if layer.critical}
    for path, basis in bases.items():
        assert basis.directions.shape == (32, 8)
        torch.testing.assert_close(basis.directions.T @ basis.directions, torch.eye(8), atol=1e-5, rtol=0)
        rank = next(layer.rank for layer in profile.layers if layer.path == path)
        assert rank == 8
    with opening(decoder) as teacher:
        sink = ListSink()
        path = next(iter(bases))
        teacher.observe(texts, [Tap(path=path, basis=bases[path])], sink)
    projected = torch.cat([value[1:] for value in sink.values(path).values()])
    assert float(projected.square().mean()) == pytest.approx(1, rel=0.1), "isotropic: a zero predictor has error 1"


def test_classes_need_no_labels(opening: Any, classifier: Path, pictures: list[Sample], tmp_path: Path) -> None:
    profile = profiled(opening, classifier, pictures, "accuracy", tmp_path)
    assert math.isnan(profile.score)
    assert any(layer.critical for layer in profile.layers)
    assert all(layer.importance >= 0 for layer in profile.layers)


def test_generated_answers_are_judged_by_likelihood(
    opening: Any, decoder: Path, texts: list[Sample], tmp_path: Path
) -> None:
    profile = profiled(opening, decoder, texts, "exact_match", tmp_path)
    assert any(abs(layer.importance) > 0.01 for layer in profile.layers)


def test_the_choice_of_samples_follows_their_keys(texts: list[Sample]) -> None:
    options = NiwtOptions(samples=3, pool=8)
    chosen = choose(iter(texts), options)
    assert [each.key for each in chosen] == sorted(each.key for each in texts)[:3]
    with pytest.raises(NexusError, match="empty"):
        choose(iter(()), options)


def test_kept_layers_are_spread_and_reach_the_deepest() -> None:
    layers = [f"l.{index}" for index in range(10)]
    assert spread(layers, layers, NiwtOptions(layers=2)) == ["l.4", "l.9"]
    assert spread(layers[:1], layers, NiwtOptions(layers=2)) == ["l.0"]
