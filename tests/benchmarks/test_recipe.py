"""The default's options are those that `benchmarks/choose_recipe.py` chose, as its committed result says."""

import json
import sys
from pathlib import Path

import pytest
from nexus_specs import Budget

from nexus_host.discovery import Plugins
from nexus_host.planning import make_plan
from nexus_host.registry import Override, Registry

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "recipe.json"


@pytest.fixture
def fingerprints(tmp_path):
    """Unit -> fingerprint of the plan with some options set."""
    plugins = Plugins.discover()

    def fingerprints(settings):
        sets = [Override.parse(f"{place}={value}") for place, value in settings.items()]
        registry = Registry.load(ROOT / "registry.yaml", plugins, sets)
        found = make_plan(registry, plugins, tmp_path, budget=Budget(memory=10**10, disk=10**10))
        return {task.unit.name: task.unit.fingerprint for task in found.tasks}

    return fingerprints


def test_the_registry_is_frozen_at_what_was_chosen(fingerprints):
    chosen = json.loads(RESULT.read_text())["chosen"]
    frozen = fingerprints({})
    assert fingerprints(chosen) == frozen
    place = "student.stages.core.learning_rate"
    other = fingerprints(chosen | {place: chosen[place] * 2})
    assert {name for name in frozen if frozen[name] != other[name]} >= {"core/core", "train/prose", "release/student"}


def test_a_search_of_some_options_leaves_the_others_in_the_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import choose_recipe

    search = choose_recipe.Search(None, [])
    file = tmp_path / "recipe.json"
    file.write_text(RESULT.read_text())
    choose_recipe.keep(file, search)
    assert file.read_text() == RESULT.read_text()
    (first, *_) = json.loads(RESULT.read_text())["runs"]
    search.rows = [[first[0], "rate", 0.5, {"prose": 1.25}]]
    choose_recipe.keep(file, search)
    kept = json.loads(file.read_text())
    assert [row for row in kept["runs"] if row[0] == first[0]] == search.rows
    assert kept["chosen"] == json.loads(RESULT.read_text())["chosen"]
    sys.modules.pop("choose_recipe")
    sys.modules.pop("report")


def test_the_result_names_its_best_values():
    """Of every option the value that was chosen is one that was tried."""
    found = json.loads(RESULT.read_text())
    tried = {(name, key, value) for name, key, value, _ in found["runs"]}
    for place, value in found["chosen"].items():
        key = place.rpartition(".")[2]
        assert any((key, value) == (row[1], row[2]) for row in tried)
