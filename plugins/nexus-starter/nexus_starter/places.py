"""Where the plugin keeps what it ships. Imports nothing heavy: `plugin.py` and the readers stand on it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent
DATA = ROOT / "data"
TEACHERS = ROOT / "teachers"
REGISTRY = ROOT / "registry.yaml"

CAPABILITIES = ("prose", "code", "digits", "tones", "motion")


def table(capability: str, part: str) -> Path:
    """The parquet file of one part: "teacher" (rows only the teacher saw), "train", "development" or "held_out"."""
    return DATA / capability / f"{part}.parquet"
