"""Golden values in float64, invariances, decay and choice of anchors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nexus_loss_anchor.anchor import ActivationAnchor, error
from nexus_specs import Basis, Blueprint, LayerProfile, Link, NexusError, Profile, Signal, Stack
from torch.nn import functional


def blueprint(count: int, width: int) -> Blueprint:
    stack = Stack(path="layers", count=count, widths=(width,) * count, layer_bytes=(4,) * count)
    return Blueprint(
        family="toy", head="Toy", takes=("text",), gives=("text",), stacks=(stack,), parameters=1,
        active_parameters=1, bytes=4, dtype="F32",
    )  # fmt: skip


def link(importances: tuple[float, ...] = (0.1, 0.6, 0.3), rank: int = 3) -> Link:
    layers = tuple(
        LayerProfile(path=f"layers.{i}", importance=value, low=value, high=value, critical=True)
        for i, value in enumerate(importances)
    )
    basis = Basis(mean=torch.zeros(8), directions=torch.eye(8)[:, :rank])
    return Link(
        profile=Profile(teacher="t", capability="c", blueprint=blueprint(3, 8), layers=layers),
        student=blueprint(3, 4),
        anchors=tuple((layer.path, layer.path) for layer in layers),
        bases={layer.path: basis for layer in layers},
    )


def signals(length: int = 5) -> tuple[Signal, Signal]:
    torch.manual_seed(0)
    paths = [f"layers.{i}" for i in range(3)]
    mask = torch.arange(length) < torch.tensor([length, 2])[:, None]
    student = {path: torch.randn(2, length, 4, dtype=torch.float64) for path in paths}
    teacher = {path: torch.randn(2, length, 3, dtype=torch.float64) for path in paths}
    return Signal(states=student, mask=mask), Signal(states=teacher, mask=mask)


def test_golden_value() -> None:
    student, teacher = signals()
    loss = ActivationAnchor().bind(link()).double()
    loss.progress = 0.375
    expected = torch.zeros(2, dtype=torch.float64)
    for weight, path, head in ((2 / 3, "layers.1", loss.heads[0]), (1 / 3, "layers.2", loss.heads[1])):
        for row, real in enumerate((5, 2)):
            found, target = head(student.states[path])[row, :real], teacher.states[path][row, :real]
            cosine = (found * target).sum(-1) / (found.norm(dim=-1) * target.norm(dim=-1))
            expected[row] += 0.5 * weight * (((found - target) ** 2).mean(-1) + 1 - cosine).mean()
    torch.testing.assert_close(loss(student, teacher), expected, rtol=1e-9, atol=1e-9)


def test_a_zero_predictor_scores_one_whatever_the_teachers_scale() -> None:
    for factor in (1.0, 300.0):
        torch.manual_seed(0)
        h = torch.randn(4000, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) * factor + 5 * factor
        values, vectors = torch.linalg.eigh(torch.cov(h.T, correction=0))
        z = (h - h.mean(0)) @ vectors[:, -3:] / values[-3:].mean().sqrt()
        assert abs(z.square().mean() - 1) < 1e-3
        assert abs(error(torch.full_like(z, 1e-9), z).mean() - 2) < 0.05


def test_anchors_let_go() -> None:
    student, teacher = signals()
    loss = ActivationAnchor(until=0.5).bind(link()).double()
    loss.progress = 0.5
    assert not loss(student, teacher).any()


def test_the_most_important_layers_are_kept_and_a_student_layer_is_used_once() -> None:
    paths = [tap.path for tap in ActivationAnchor(count=2).taps(link())]
    assert paths == ["layers.1", "layers.2"]
    crowded = link()
    crowded = Link(
        profile=crowded.profile, student=crowded.student, bases=crowded.bases,
        anchors=(("layers.0", "layers.0"), ("layers.1", "layers.0"), ("layers.2", "layers.2")),
    )  # fmt: skip
    assert [anchor.teacher for anchor in ActivationAnchor(count=3).bind(crowded).anchors] == ["layers.1", "layers.2"]
    idle = ActivationAnchor().bind(link((0.0, 0.0, 0.0)))
    assert [anchor.weight for anchor in idle.anchors] == [0.5, 0.5]


def test_other_numbers_of_positions_compare_means() -> None:
    student, teacher = signals()
    long = {path: state.repeat_interleave(3, 1) for path, state in student.states.items()}
    loss = ActivationAnchor(count=1).bind(link()).double()
    found = loss(Signal(states=long), teacher)
    pooled = loss.heads[0](student.states["layers.1"].mean(1))
    target = torch.stack([teacher.states["layers.1"][0].mean(0), teacher.states["layers.1"][1, :2].mean(0)])
    torch.testing.assert_close(found, error(pooled, target))


def test_padding_of_the_student_counts_for_nothing_in_its_means() -> None:
    student, teacher = signals()
    loss = ActivationAnchor(count=1).bind(link()).double()
    padded = {path: functional.pad(state, (0, 0, 0, 3), value=9.0) for path, state in student.states.items()}
    real = torch.arange(8) < 5
    found = loss(Signal(states=padded, mask=real.expand(2, 8)), teacher)
    pooled = loss.heads[0](student.states["layers.1"].mean(1))
    target = torch.stack([teacher.states["layers.1"][0].mean(0), teacher.states["layers.1"][1, :2].mean(0)])
    torch.testing.assert_close(found, error(pooled, target))


def test_what_is_missing_is_named() -> None:
    bare = link()
    stack = Stack(path="layers", count=3, widths=(-1,) * 3, layer_bytes=(4,) * 3)
    vague = Link(
        profile=bare.profile, student=replace(bare.student, stacks=(stack,)), anchors=bare.anchors, bases=bare.bases
    )
    with pytest.raises(NexusError, match=r"width of the student's layer 'layers\.1'"):
        ActivationAnchor().bind(vague)
    with pytest.raises(NexusError, match="no critical layer of 't'"):
        ActivationAnchor().bind(Link(profile=bare.profile, student=bare.student))
    student, teacher = signals()
    loss = ActivationAnchor().bind(bare).double()
    with pytest.raises(NexusError, match=r"no states at 'layers\.1', only at layers\.9"):
        loss(student, Signal(states={"layers.9": teacher.states["layers.0"]}))
