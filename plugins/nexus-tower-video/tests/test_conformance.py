"""The kit, on a small teacher's profile."""

from __future__ import annotations

import nexus_tower_video.plugin as plugin
import numpy as np
from nexus_specs import Profile, Sample, content_key
from nexus_specs.testing import PluginTests, TowerTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class TestVideo(TowerTests):
    plugin = plugin
    name = "video"
    options = {"share": 0.5, "depth": 1, "size": 8, "patch": 4, "frames": 4, "tubelet": 2}

    def profiles(self) -> list[Profile]:
        teacher = blueprint(takes=("video",), gives=("label",), labels=("left", "right"), parameters=200_000)
        return [Profile(teacher="motion", capability="motion", blueprint=teacher, layers=(), home=str(self.folder))]

    def samples(self) -> list[Sample]:
        draw = np.random.default_rng(0)
        shapes = [(4, 8, 8, 1), (7, 16, 12, 3), (2, 8, 8, 3)]
        fields = [{"video": draw.integers(0, 256, shape, dtype=np.uint8)} for shape in shapes]
        return [Sample(key=content_key(each), fields=each) for each in fields]
