"""Every benchmark says what it measures and takes --quick and --json; their helper prints tables."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "report.py")


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import report

    yield report
    sys.modules.pop("report")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_benchmark_has_the_flags(script):
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout
    assert "--json" in done.stdout


def test_listing_ends_with_figures():
    command = [sys.executable, str(FOLDER / "listing.py"), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["heavy_imports"] == 0


def test_report_prints_a_table_and_figures(report, capsys, monkeypatch):
    assert doctest.testmod(report).failed == 0
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--runs", "4"])
    given = report.arguments("What it does.\n\nMore.", runs={"type": int, "default": 1})
    assert (given.quick, given.json, given.runs) == (False, True, 4)
    report.finish(["name", "seconds"], [["first", 1.5], ["b", 10]], {"seconds": 1.5}, given)
    assert capsys.readouterr().out.splitlines() == [
        "name   seconds",
        "first    1.500",
        "b           10",
        '{"seconds": 1.5}',
    ]


def test_readme_says_what_the_results_say():
    page = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    rows = json.loads((FOLDER / "results" / "architectures.json").read_text(encoding="utf-8"))["rows"]
    types, opened = ({each["type"] for each in rows if each.get(key, True)} for key in ("", "opened"))
    assert f"{len(opened)} of transformers' {len(types)} model types" in page
    gguf = json.loads((FOLDER / "results" / "gguf.json").read_text(encoding="utf-8"))["figures"]
    assert f"files of {gguf['exact']} of the architectures" in page


def test_a_result_is_kept_with_what_else_the_machine_did(report, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.record("some", ["name", "seconds"], [["first", 1.5], ["b", 10]], {"seconds": 1.5}, "loaded")
    found = json.loads((tmp_path / "some.json").read_text())
    assert (found["note"], found["figures"], found["rows"][1]) == ("loaded", {"seconds": 1.5}, ["b", 10])
    assert found["machine"]["cores"]
