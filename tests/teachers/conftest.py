"""The builders of benchmarks/tiny_teachers, and the registry's cards."""

import sys
from pathlib import Path

import pytest
import transformers
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def registry():
    return YAML(typ="safe").load((ROOT / "registry.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def known(registry):
    """Cards of teachers that a user may make ready."""
    return {name: card for name, card in registry["teachers"].items() if card.get("status") == "available"}


def pytest_generate_tests(metafunc):
    if "tiny" in metafunc.fixturenames:
        from tiny_teachers.rows import TINY

        metafunc.parametrize("tiny", TINY, ids=lambda tiny: tiny.name.replace(" ", "-"))
