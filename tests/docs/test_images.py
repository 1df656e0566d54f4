"""The script that makes the README's picture."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "images" / "table.py"
TABLE = {
    "title": "What the student kept",
    "columns": ["capability", "retention", "result"],
    "rows": [["prose", "0.982", "pass"], ["digits", None, "fail"]],
    "notes": ["One note."],
}


def test_equal_tables_give_equal_pictures(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(TABLE), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "table.json"), str(tmp_path / "result.svg")]
    subprocess.run(command, check=True)
    drawn = (tmp_path / "result.svg").read_text(encoding="utf-8")
    assert drawn == runpy.run_path(str(SCRIPT))["drawn"](TABLE)
    for word in ("retention", "0.982", "pass", "One", "note."):
        assert word in drawn


def test_without_arguments_it_says_how():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "table.json" in done.stderr
