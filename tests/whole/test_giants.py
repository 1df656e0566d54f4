"""`nexus plan` for teachers of 70 B, 671 B and a trillion parameters of which only `config.json` is here; `nexus run`
refuses them."""

import json
import shutil
from pathlib import Path

import pytest

GB = 10**9
GIANTS = Path(__file__).parent / "giants"
BYTES = {"llama-70b": 141 * GB, "deepseek-v3": 673 * GB, "kimi-k2": 1028 * GB}
"""Stored: two bytes a weight; one, but two for the tables; likewise."""
LAYERS = {"llama-70b": 80, "deepseek-v3": 61, "kimi-k2": 61}
REGISTRY = """\
version: 1
teachers:
{teachers}
towers:
{towers}
losses: [{{name: forward_kl}}]
data:
  words: {{reader: jsonl, options: {{path: words.jsonl}}}}
student: {{options: {{layers: 4, width: 128}}}}
run: {{memory: 16GB, disk: 200GB}}
"""


@pytest.fixture
def giants(tmp_path, monkeypatch):
    """A folder with the three, in one registry; commands are typed there."""
    shutil.copytree(GIANTS, tmp_path, dirs_exist_ok=True)
    rows = ({"text": f"Line {at} of a corpus that a teacher is asked."} for at in range(50))
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    teachers = [f"  {name}: {{source: ./{name}, tower: {name}, data: words}}" for name in BYTES]
    towers = [f"  {name}: {{component: text}}" for name in BYTES]
    registry = REGISTRY.format(teachers="\n".join(teachers), towers="\n".join(towers))
    (tmp_path / "registry.yaml").write_text(registry)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_they_are_planned_from_their_configurations_and_not_run(giants, typed):
    facts = json.loads(typed("plan", "--json")[0])
    for teacher in facts["teachers"]:
        size, layers = BYTES[teacher["name"]], LAYERS[teacher["name"]]
        assert teacher["how"].startswith("stream")
        assert teacher["missing"] == ["weights (*.safetensors)", "tokenizer.json"]
        assert 2.99 < teacher["read"] / size < 5.1, "profile, extract and score read it, each a whole number of times"
        assert teacher["passes"] == pytest.approx(3 + layers / 2, abs=2)
        assert 0 < teacher["memory"] <= 16 * GB
        assert teacher["seconds"] > 60
        assert teacher["fetched"] == 0
    out, _ = typed("plan")
    lines = out.splitlines()
    (head,) = (at for at, line in enumerate(lines) if line.startswith("teacher "))
    assert lines[head].split() == ["teacher", "time", "passes", "read", "fetched", "memory", "disk"]
    assert [line.split()[0] for line in lines[head + 1 : head + 4]] == list(BYTES)
    assert "671 B parameters are more than 60 B" in out
    _, said = typed("run", code=2)
    assert said.count("it can be inspected and planned with, and not run") == 3
    assert "registry.yaml:3:15: teachers.llama-70b.source: " in said
    assert not (giants / "nexus-run" / "artefacts").exists()
