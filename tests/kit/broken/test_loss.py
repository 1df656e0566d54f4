"""A good loss, and broken ones that the kit rejects with advice."""

import pytest
import torch
from nexus_specs import LayerProfile, Link, Profile, Signal, Tap
from nexus_specs.testing import LossTests, blueprint

LAYER = "model.layers.0"


class Good:
    """Mean squared distance of states, over real tokens."""

    def taps(self, link):
        return (Tap(path=LAYER),)

    def bind(self, link):
        return self.value

    def value(self, student, teacher):
        distance = (student.states[LAYER] - teacher.states[LAYER]).square().mean(-1)
        return (distance * student.mask).sum(1) / student.mask.sum(1)


class Scalar(Good):
    def value(self, student, teacher):
        return super().value(student, teacher).mean()


class PerToken(Good):
    def value(self, student, teacher):
        return (student.states[LAYER] - teacher.states[LAYER]).square().mean(-1)


class NotFinite(Good):
    def value(self, student, teacher):
        return super().value(student, teacher) / 0.0


class OverBatch(Good):
    def value(self, student, teacher):
        value = super().value(student, teacher)
        return value / value.sum()


class CountsPadding(Good):
    def value(self, student, teacher):
        return (student.states[LAYER] - teacher.states[LAYER]).square().mean((1, 2))


class NoGradient(Good):
    def value(self, student, teacher):
        return super().value(student, teacher).detach()


class ZeroGradient(Good):
    def value(self, student, teacher):
        return super().value(student, teacher) * 0.0


class InfiniteGradient(Good):
    def value(self, student, teacher):
        same = (student.states[LAYER] - student.states[LAYER]).abs().sum((1, 2)).sqrt()
        return super().value(student, teacher) + same


class NotZero(Good):
    def value(self, student, teacher):
        return super().value(student, teacher) + 1.0


class ForeignTap(Good):
    def taps(self, link):
        return (Tap(path="encoder.block.0"),)


class TextTap(Good):
    def taps(self, link):
        return (LAYER,)


class Undeclared(Good):
    def value(self, student, teacher):
        return super().value(student, teacher) + teacher.outputs["probabilities"].sum((1, 2)) * 0.0


BROKEN = [
    (Scalar, "Reduce over tokens, not over samples."),
    (PerToken, "Return one value per sample: expected shape [3], got [3, 4]"),
    (NotFinite, "Keep it finite"),
    (OverBatch, "Let each value depend on its own sample"),
    (CountsPadding, "Multiply by `mask` before you sum"),
    (NoGradient, "no .item(), .detach()"),
    (ZeroGradient, "Let the loss depend on the student"),
    (InfiniteGradient, "Guard square roots"),
    (NotZero, "A divergence is zero there"),
    (ForeignTap, "Take paths from `link.anchors`"),
    (TextTap, "Give a sequence of nexus_specs.Tap"),
    (Undeclared, "Name in `records` what it reads"),
]


def signal(seed):
    draw = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    return Signal(
        keys=("a", "b", "c"),
        mask=mask,
        tokens=torch.arange(12).reshape(3, 4),
        states={LAYER: torch.randn(3, 4, 8, generator=draw)},
        outputs={"probabilities": torch.rand(3, 4, 2, generator=draw), "label": torch.tensor([0, 1, 0])},
    )


def made(suite, component):
    layer = LayerProfile(path=LAYER, importance=0.5, low=0.4, high=0.6, critical=True)
    profile = Profile(teacher="t", capability="t", blueprint=blueprint(), layers=(layer,))
    link = Link(profile=profile, student=blueprint(), anchors=((LAYER, LAYER),))
    return suite(
        LossTests,
        component,
        declared={"records": ("states",)},
        link=lambda self: link,
        signals=lambda self: (signal(0), signal(1)),
        equal=lambda self: (signal(0), signal(0)),
    )


def test_good_loss_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_loss_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)
