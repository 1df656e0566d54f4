"""What a plan showed is what the next run begins with, and nothing longer."""

import pytest

from nexus_host.planning.announced import adopt, announce, forget
from nexus_host.planning.settling import PINS, known_pins
from nexus_host.store import write_json


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "run"


NOTE = {"for": "x", "source": "acme/tiny@" + "0" * 40, "micro_batch": 8, "quantise": ""}


def test_a_run_takes_up_what_was_announced_for_its_directory(run):
    announce(run, {"tiny": NOTE, "here": {"for": "y", "source": ""}}, {"key": "1" * 40})
    assert not run.exists()
    adopt(run.with_name("other"))
    assert not run.with_name("other").exists()
    adopt(run)
    assert known_pins(run) == {"settled": {"tiny": NOTE}, "data": {"key": "1" * 40}}
    forget(run)
    (run / PINS).unlink()
    adopt(run)
    assert known_pins(run) == {}


def test_what_a_run_has_pinned_stays(run):
    write_json(run / PINS, {"settled": {"tiny": NOTE | {"for": "older"}}, "data": {}, "core_teachers": ["tiny"]})
    announce(run, {"tiny": NOTE, "new": NOTE}, {})
    adopt(run)
    assert known_pins(run)["settled"] == {"tiny": NOTE | {"for": "older"}, "new": NOTE}
    assert known_pins(run)["core_teachers"] == ["tiny"]


def test_a_plan_of_nothing_on_a_hub_forgets_the_plan_before(run):
    announce(run, {"tiny": NOTE}, {})
    announce(run, {"tiny": {"for": "y", "source": ""}}, {})
    adopt(run)
    assert not run.exists()


def test_a_cache_that_cannot_be_written_to_is_no_error(run, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    announce(run, {"tiny": NOTE}, {})
    adopt(run)
    forget(run)
    assert not run.exists()
