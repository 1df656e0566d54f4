"""The kit, with the core's tokens and with tokens of its own."""

from __future__ import annotations

import nexus_tower_text.plugin as plugin
from nexus_specs import Profile
from nexus_specs.testing import PluginTests, TowerTests, blueprint


class TestPlugin(PluginTests):
    plugin = plugin


class TestText(TowerTests):
    plugin = plugin
    name = "text"
    options = {"rank": 4}

    def profiles(self) -> list[Profile]:
        return [Profile(teacher="prose", capability="prose", blueprint=blueprint(), layers=())]


class TestTextOfAnotherVocabulary(TowerTests):
    plugin = plugin
    name = "text"

    def profiles(self) -> list[Profile]:
        teacher = blueprint(tokenizer="1" * 64, vocabulary=99)
        return [Profile(teacher="code", capability="code", blueprint=teacher, layers=())]

    def test_it_wants_a_vocabulary_of_its_own(self) -> None:
        assert self.component().adapter(self.core(), self.profiles()).vocabulary == "own"
