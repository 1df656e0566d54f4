"""The conformance kit over both losses."""

from __future__ import annotations

import nexus_loss_distill.plugin as plugin
import torch
from nexus_specs import Link, Profile, Signal
from nexus_specs.testing import LossTests, PluginTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class _Text(LossTests):
    plugin = plugin

    def link(self) -> Link:
        profile = Profile(teacher="t", capability="c", blueprint=blueprint(), layers=())
        return Link(profile=profile, student=blueprint())

    def signals(self) -> tuple[Signal, Signal]:
        torch.manual_seed(0)
        hidden, matrix = torch.randn(3, 5, 4, requires_grad=True), torch.randn(7, 4)
        mask = torch.arange(5) < torch.tensor([5, 3, 2])[:, None]
        tokens = torch.randint(7, (3, 5))
        probabilities = torch.rand(3, 5, 6).softmax(-1)
        records = {"ids": torch.randint(7, (3, 5, 6)), "probabilities": probabilities}
        student = Signal(keys=("a", "b", "c"), hidden=hidden, head=lambda h: h @ matrix.T, tokens=tokens, mask=mask)
        return student, Signal(keys=("a", "b", "c"), tokens=tokens, mask=mask, outputs=records)


class TestForwardKl(_Text):
    name = "forward_kl"


class TestCrossEntropy(_Text):
    name = "cross_entropy"


class TestForwardKlOfClasses(LossTests):
    plugin = plugin
    name = "forward_kl"

    def link(self) -> Link:
        profile = Profile(teacher="t", capability="c", blueprint=blueprint(gives=("label",)), layers=())
        return Link(profile=profile, student=blueprint())

    def signals(self) -> tuple[Signal, Signal]:
        torch.manual_seed(0)
        student = Signal(keys=("a", "b", "c"), outputs={"output": torch.randn(3, 4, requires_grad=True)})
        return student, Signal(keys=("a", "b", "c"), outputs={"output": torch.randn(3, 4)})

    def equal(self) -> tuple[Signal, Signal]:
        student, _ = self.signals()
        return student, Signal(keys=student.keys, outputs={"output": student.outputs["output"].detach()})
