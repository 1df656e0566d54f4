"""Predicted against measured memory: `benchmarks/memory.py`, which writes the checkpoints. Slow: `pytest -m slow`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "memory.py"


@pytest.mark.slow
def test_the_prediction_is_within_fifteen_per_cent() -> None:
    if not SCRIPT.is_file():
        pytest.skip("there are no benchmarks beside the plugins")
    done = subprocess.run([sys.executable, str(SCRIPT), "--json"], check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["worst"] <= 0.15, done.stdout
