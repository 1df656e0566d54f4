"""A good profiler, and broken ones that the kit rejects with advice."""

import dataclasses
import random
from contextlib import contextmanager

import pytest
import torch
from nexus_specs import LayerProfile, Profile, Sample, Tap, content_key
from nexus_specs.testing import ProfilerTests, blueprint


class Teacher:
    """Two numbers for two layers."""

    def __init__(self):
        self.blueprint = blueprint()
        self.module = torch.nn.Module()
        self.module.weight = torch.nn.Parameter(torch.tensor([0.25, 0.75]))


class Metric:
    """Not asked by these profilers."""

    taps = (Tap(path="logprob"),)


class Good:
    """What each layer is worth stands in the weights."""

    def profile(self, teacher, samples, metric, context):
        with context.write("bases.safetensors") as path:
            path.write_bytes(b"directions")
        layers = tuple(self.layer(teacher, index) for index in range(teacher.blueprint.largest_stack.count))
        return Profile(
            teacher="toy",
            capability="toy",
            blueprint=teacher.blueprint,
            layers=layers,
            score=1.5,
            bases={layers[-1].path: f"bases.safetensors#{layers[-1].path}"},
        )

    def layer(self, teacher, index):
        path, value = teacher.blueprint.largest_stack.layers[index], teacher.module.weight[index].item()
        return LayerProfile(path=path, importance=value, low=value - 0.1, high=value + 0.1, rank=4, critical=index == 1)


def changed(**changes):
    """The good profiler with other fields in its profile."""

    class Changed(Good):
        def profile(self, teacher, samples, metric, context):
            return dataclasses.replace(super().profile(teacher, samples, metric, context), **changes)

    return Changed


def layers(**changes):
    """The good profiler with other fields in its layers."""

    class Layers(Good):
        def layer(self, teacher, index):
            return dataclasses.replace(super().layer(teacher, index), **changes)

    return Layers


class ListOfLayers(Good):
    def profile(self, teacher, samples, metric, context):
        return super().profile(teacher, samples, metric, context).layers


class TensorScore(Good):
    def profile(self, teacher, samples, metric, context):
        found = super().profile(teacher, samples, metric, context)
        return dataclasses.replace(found, masks={"layer": b"\x00"}) if found else found


class HalfTheLayers(Good):
    def profile(self, teacher, samples, metric, context):
        found = super().profile(teacher, samples, metric, context)
        return dataclasses.replace(found, layers=found.layers[1:])


class TwiceALayer(Good):
    def profile(self, teacher, samples, metric, context):
        found = super().profile(teacher, samples, metric, context)
        return dataclasses.replace(found, layers=found.layers + found.layers[:1])


class Draws(Good):
    def layer(self, teacher, index):
        value = random.random()
        return dataclasses.replace(super().layer(teacher, index), importance=value, low=0.0, high=1.0)


class Ablates(Good):
    def profile(self, teacher, samples, metric, context):
        found = super().profile(teacher, samples, metric, context)
        teacher.module.weight.data.zero_()
        return found


BROKEN = [
    (ListOfLayers, "Return a nexus_specs.Profile"),
    (changed(blueprint=blueprint(family="other")), "Put `teacher.blueprint` into it"),
    (changed(score=float("nan")), "Give the intact teacher's score"),
    (layers(path="encoder.0"), "Take paths from `stack.layers`"),
    (HalfTheLayers, "is in the profile 0 times"),
    (TwiceALayer, "Judge each layer once"),
    (layers(importance=float("nan")), "Give a finite value inside its interval"),
    (layers(low=0.9, high=1.0), "Give a finite value inside its interval"),
    (layers(rank=4096), "Keep it between 0 and the width"),
    (layers(critical=False), "Mark at least one"),
    (changed(bases={"model.layers.0": "bases.safetensors"}), "Write it as 'file.safetensors#key'"),
    (changed(bases={"model.layers.0": "lost.safetensors#a"}), "Write it through `context.write`"),
    (Draws, "Seed everything that is drawn"),
    (Ablates, "Ablate with edits"),
]


def made(suite, component):
    @contextmanager
    def teacher(self):
        yield Teacher()

    samples = [Sample(key=content_key({"text": "a"}), fields={"text": "a"})]
    # The classes made above are local: the component is handed over, its target is the good one's.
    return suite(
        ProfilerTests,
        Good,
        component=lambda self: component(),
        teacher=teacher,
        samples=lambda self: samples,
        metric=lambda self: Metric(),
    )


def test_good_profiler_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_profiler_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)


def test_profile_that_json_does_not_keep_is_rejected(suite, said):
    assert any("not JSON serializable" in message for message in said(made(suite, TensorScore)))
