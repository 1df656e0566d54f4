"""One teacher by its source: profile, extract and score."""

import json

from nexus_host.store import damage


def test_a_stage_runs_on_a_source_and_its_artefact_is_put_where_one_wants(toy):
    source, data = toy.folder / "prose.toy", toy.folder / "lines.txt"
    data.write_text("a\nb\nc\n")
    out = toy.folder / "shards"
    shown, err = toy.typed("extract", source, "--data", data, "--tower", "text", "--out", out)
    assert "extract/prose.toy: done" in err
    assert "a note" in shown
    assert damage(out) == ""
    assert (toy.folder / "nexus-run-prose.toy" / "teacher.yaml").is_file()
    found = json.loads(toy.typed("extract", source, "--data", data, "--tower", "text", "--out", out, "--json")[0])
    assert {unit["name"]: unit["state"] for unit in found["units"]} == {
        "profile/prose.toy": "cached",
        "extract/prose.toy": "cached",
    }
    _, err = toy.typed("score", source, "--data", data, "--tower", "text", "--out", toy.folder, code=1)
    assert "exists and is no artefact" in err
