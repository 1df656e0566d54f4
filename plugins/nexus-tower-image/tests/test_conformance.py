"""The kit, on a small teacher's profile."""

from __future__ import annotations

import nexus_tower_image.plugin as plugin
import numpy as np
from nexus_specs import Profile, Sample, content_key
from nexus_specs.testing import PluginTests, TowerTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class TestImage(TowerTests):
    plugin = plugin
    name = "image"
    options = {"share": 0.5, "depth": 1, "size": 8, "patch": 4}

    def profiles(self) -> list[Profile]:
        teacher = blueprint(takes=("image",), gives=("label",), labels=("zero", "one", "two"), parameters=200_000)
        return [Profile(teacher="digits", capability="digits", blueprint=teacher, layers=(), home=str(self.folder))]

    def samples(self) -> list[Sample]:
        draw = np.random.default_rng(0)
        shapes = [(8, 8, 1), (16, 12, 3), (5, 9, 1)]
        fields = [{"image": draw.integers(0, 256, shape, dtype=np.uint8)} for shape in shapes]
        return [Sample(key=content_key(each), fields=each) for each in fields]
