"""From an empty folder to a verified release of one's own teacher, and through twenty kills: the real pipeline.

Minutes on one core: `pytest -m slow tests/whole`.
"""

import json
import random
import time

import pytest

pytestmark = pytest.mark.slow
SMALL = (
    "--sample-size", "60", "--allow-below", "--set", "student.stages.core.steps=30", "--set",
    "run.stages.train.steps=20", "--set", "run.stages.train.checkpoint=5",
)  # fmt: skip


@pytest.fixture
def added(user, shared):
    """After `nexus add` in an empty folder."""
    data = shared / "data" / "stories260k_samples" / "train.jsonl"
    user.types("add", shared / "models" / "stories260K", "--data", data)
    return user


def test_ones_own_teacher_becomes_a_verified_release(added, shared):
    out, _ = added.types("run", "--allow-below")
    assert "stories260k" in out
    manifest = json.loads((added.release / "manifest.json").read_text())
    (kept,) = manifest["capabilities"]
    assert kept["retention_low"] > 0.8
    assert kept["data"]["options"]["path"] == "train.jsonl"
    assert manifest["parameters"]["student"] <= manifest["parameters"]["teachers"] / 2
    places = [str(shared).encode(), str(added.folder).encode()]
    assert not [name for name, data in added.contents().items() if any(place in data for place in places)]
    assert "Verified." in added.types("verify")[0]
    answer, who = added.types("chat", "--prompt", "Once upon a time, there was a little")
    assert answer.strip()
    assert "[stories260k: " in who
    assert "[core: no tower fits]" in added.types("chat", "--prompt", "Der Hund lief laut bellend durch den Garten")[1]
    moved = added.folder / "far" / "release"
    moved.parent.mkdir()
    added.release.rename(moved)
    _, said = added.types("verify", moved, code=1)
    assert "--data FOLDER" in said
    assert "Verified." in added.types("verify", moved, "--data", shared / "data" / "stories260k_samples")[0]


def test_twenty_kills_change_no_byte_of_a_real_release(added):
    added.types("run", *SMALL)
    reference, generator = added.contents(), random.Random()
    (added.folder / "nexus-run").rename(added.folder / "reference")
    for _ in range(20):
        process = added.start("run", *SMALL)
        time.sleep(generator.uniform(2.0, 20.0))
        process.kill()
        process.communicate()
        assert all(reference[name] == data for name, data in added.contents().items())
    added.types("run", *SMALL)
    assert added.contents() == reference
