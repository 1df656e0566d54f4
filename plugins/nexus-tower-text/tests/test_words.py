"""Whose words a text tower uses."""

from __future__ import annotations

import pytest
from nexus_specs import NexusError, Profile
from nexus_specs.testing import blueprint
from nexus_tower_text.tower import TextTower


def taught(*tokenizers: str) -> list[Profile]:
    return [
        Profile(teacher=f"t{at}", capability="x", blueprint=blueprint(tokenizer=each), layers=())
        for at, each in enumerate(tokenizers)
    ]


@pytest.mark.parametrize(
    ("options", "tokenizers", "expected"),
    [
        ({}, ("core",), ("core", 8)),
        ({}, ("other",), ("own", 0)),
        ({"vocabulary": "own"}, ("core",), ("own", 0)),
        ({"vocabulary": "core", "embeddings": 0}, ("one", "other"), ("core", 0)),
        ({}, (), ("core", 8)),
    ],
)
def test_it_follows_its_teachers(
    options: dict[str, object], tokenizers: tuple[str, ...], expected: tuple[str, int]
) -> None:
    found = TextTower(**options).adapter(blueprint(tokenizer="core"), taught(*tokenizers))
    assert (found.vocabulary, found.embeddings) == expected


def test_teachers_of_two_tokenizers_need_two_towers() -> None:
    with pytest.raises(NexusError, match="Give each a tower of its own"):
        TextTower().adapter(blueprint(), taught("one", "other"))


def test_layers_of_a_registry_are_a_list() -> None:
    tower = TextTower(layers=[0, 1])
    assert tower.adapter(blueprint(), ()).layers == (0, 1)
    assert TextTower(**tower.config()).config() == tower.config()
