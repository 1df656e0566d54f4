"""The default's options are those that `benchmarks/choose_recipe.py` chose, as its committed result says."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "recipe.json"


def fingerprints(run, settings):
    """Unit -> fingerprint of the plan with some options set."""
    sets = [part for place, value in settings.items() for part in ("--set", f"{place}={value}")]
    command = [sys.executable, "-m", "nexus_host", "plan", "--run-dir", str(run), *sets, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {unit["name"]: unit["fingerprint"] for unit in json.loads(done.stdout)["units"]}


def test_the_registry_is_frozen_at_what_was_chosen(tmp_path):
    chosen = json.loads(RESULT.read_text())["chosen"]
    frozen = fingerprints(tmp_path, {})
    assert fingerprints(tmp_path, chosen) == frozen
    place = "student.stages.core.learning_rate"
    assert fingerprints(tmp_path, chosen | {place: chosen[place] * 2}) != frozen


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
