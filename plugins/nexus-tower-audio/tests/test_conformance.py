"""The kit, on a small teacher's profile."""

from __future__ import annotations

import nexus_tower_audio.plugin as plugin
import numpy as np
from nexus_specs import Profile, Sample, content_key
from nexus_specs.testing import PluginTests, TowerTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class TestAudio(TowerTests):
    plugin = plugin
    name = "audio"
    options = {"share": 0.5, "depth": 1, "rate": 8000, "frames": 16, "mels": 16}

    def profiles(self) -> list[Profile]:
        teacher = blueprint(takes=("audio",), gives=("label",), labels=("low", "high"), parameters=200_000)
        return [Profile(teacher="tones", capability="tones", blueprint=teacher, layers=(), home=str(self.folder))]

    def samples(self) -> list[Sample]:
        waves = [np.sin(np.arange(length) / 7).astype(np.float32) for length in (1400, 900, 4000)]
        fields = [{"audio": wave, "rate": 8000} for wave in waves]
        return [Sample(key=content_key(each), fields=each) for each in fields]
