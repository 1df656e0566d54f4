"""The scripts of `.ci` judge as they should."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def script(name):
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(covered, statements):
    summary = {
        "covered_lines": covered, "num_statements": statements, "covered_branches": 0, "num_branches": 0,
        "missing_lines": statements - covered, "missing_branches": 0,
    }  # fmt: skip
    return {"summary": summary, "missing_lines": list(range(covered + 1, statements + 1))}


def report(**changes):
    files = {
        "specs/nexus_specs/data.py": entry(99, 100),
        "nexus_host/words.py": entry(95, 100),
        "plugins/nexus-student/nexus_student/model.py": entry(96, 100),
        "plugins/nexus-student/nexus_student/router.py": entry(50, 50),
        "plugins/nexus-train/nexus_train/loop.py": entry(10, 10),
    }
    return {"files": files | changes}


def test_enough_coverage_is_accepted(capsys):
    assert script("coverage").judge(report())
    assert "TOO LOW" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("nexus_host/words.py", 94),
        ("plugins/nexus-student/nexus_student/router.py", 99),
        ("specs/nexus_torch/a.py", 40),
    ],
)
def test_too_little_coverage_is_refused_with_lines(name, covered, capsys):
    assert not script("coverage").judge(report(**{name: entry(covered, 100)}))
    said = capsys.readouterr().out
    assert "TOO LOW" in said
    assert f"{name}: lines {covered + 1}-100" in said or f"{name}: lines 100" in said


def test_a_package_that_was_not_measured_is_refused(capsys):
    assert not script("coverage").judge({"files": {}})
    assert "no file was measured" in capsys.readouterr().out


SECRET = "hf_" + "a" * 34
BAD = ['path = "/ho' + 'me/ada/model"', f"token: {SECRET}", "-----BEGIN " + "PRIVATE KEY-----", "AKIA" + "Z" * 16]
GOOD = ["see /tmp and /usr/bin", "https://example.org/home/ada", "token = os.environ['TOKEN']", "hf_hub_download"]


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


@pytest.mark.parametrize("line", BAD)
def test_scan_finds_it(line, repository, capsys):
    (repository / "notes.md").write_text(f"first\n{line}\n", encoding="utf-8")
    assert script("scan").main(repository) == 1
    assert "notes.md:2:" in capsys.readouterr().out


@pytest.mark.parametrize("line", [*GOOD, BAD[0] + "  # scan: example"])
def test_scan_leaves_it(line, repository):
    (repository / "notes.md").write_text(line, encoding="utf-8")
    (repository / "image.bin").write_bytes(b"\xff\xfe/ho" + b"me/ada")
    assert script("scan").main(repository) == 0


def test_run_is_a_script_of_all_checks():
    script = ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o111
    text = script.read_text(encoding="utf-8")
    for check in ("-r requirements.txt", "pytest", "ruff check", "mypy", "lint-imports", "scan.py", "coverage.py"):
        assert check in text
