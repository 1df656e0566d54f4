"""The conformance kit over the loss."""

from __future__ import annotations

import nexus_loss_anchor.plugin as plugin
import torch
from nexus_specs import Basis, LayerProfile, Link, Profile, Signal
from nexus_specs.testing import LossTests, PluginTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class TestAnchor(LossTests):
    plugin = plugin
    name = "activation_anchor"

    def link(self) -> Link:
        about = blueprint()
        stack = about.stacks[-1]
        path, width = stack.layers[-1], stack.widths[-1]
        layer = LayerProfile(path=path, importance=0.5, low=0.4, high=0.6, critical=True)
        basis = Basis(mean=torch.zeros(width), directions=torch.eye(width)[:, :2])
        return Link(
            profile=Profile(teacher="t", capability="c", blueprint=about, layers=(layer,)),
            student=about, anchors=((path, path),), bases={path: basis},
        )  # fmt: skip

    def signals(self) -> tuple[Signal, Signal]:
        torch.manual_seed(0)
        path, width = self.link().anchors[0][1], blueprint().stacks[-1].widths[-1]
        mask = torch.arange(5) < torch.tensor([5, 3, 2])[:, None]
        states = {path: torch.randn(3, 5, width, requires_grad=True)}
        student = Signal(keys=("a", "b", "c"), states=states, mask=mask, tokens=torch.zeros(3, 5))
        return student, Signal(keys=("a", "b", "c"), states={path: torch.randn(3, 5, 2)}, mask=mask)
