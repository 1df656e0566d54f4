"""A teacher and its data that lie on a hub, at the command line: described, planned, fetched once, kept at a commit."""

import json
import shutil

import pyarrow
import pyarrow.parquet
import pytest

REGISTRY = """\
teachers: {stories: {source: acme/stories, tower: prose, data: words}}
towers: {prose: {component: text}}
losses: [{name: forward_kl}]
data: {words: {reader: hub, options: {id: acme/words, columns: {text: body}}}}
"""


@pytest.fixture
def hub(server, shared, tmp_path, monkeypatch):
    """A hub with a teacher and its data, and a folder with a registry, in which commands are typed."""
    lines = (shared / "data" / "stories260k_samples" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    file = tmp_path / "words" / "default" / "train" / "0000.parquet"
    file.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"body": json.loads(each)["text"]} for each in lines]), file)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "registry.yaml").write_text(REGISTRY)
    monkeypatch.chdir(tmp_path / "work")
    server.add("acme/stories", shared / "models" / "stories260K")
    server.add("acme/words", tmp_path / "words", kind="dataset")
    return server


def large(hub):
    return {name: size for name, size in hub.served.items() if name.endswith((".safetensors", ".parquet"))}


def test_inspect_reads_headers_and_says_what_may_be_meant(hub, typed, shared):
    assert json.loads(typed("inspect", "acme/stories", "--json")[0])["head"] == "LlamaForCausalLM"
    weights = (shared / "models" / "stories260K" / "model.safetensors").stat().st_size
    assert large(hub)["acme/stories/model.safetensors"] < weights / 50
    _, said = typed("inspect", "acme/storeis", code=1)
    assert "Did you mean 'acme/stories'?" in said
    assert "Traceback" not in said


def test_the_plan_says_what_would_be_fetched_and_fetches_nothing(hub, typed, shared):
    checkpoint, data = json.loads(typed("plan", "--stage", "extract", "--json")[0])["fetch"]
    weights = (shared / "models" / "stories260K" / "model.safetensors").stat().st_size
    assert (checkpoint["source"].partition("@")[0], checkpoint["missing"]) == ("acme/stories", weights)
    assert data["source"].startswith("datasets/acme/words@")
    assert data["bytes"] == data["missing"] > 0
    assert list(large(hub)) == ["acme/stories/model.safetensors"]
    assert sum(large(hub).values()) < weights / 50


def test_data_that_nobody_named_are_proposed_and_the_hub_hears_nothing_until_a_plan(hub, typed, shared, tmp_path):
    file = tmp_path / "texts" / "wikitext-2-raw-v1" / "train" / "0000.parquet"
    file.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"text": f"line {at}"} for at in range(50)]), file)
    for split in ("validation", "test"):
        shutil.copytree(file.parent, file.parent.with_name(split))
    hub.add("Salesforce/wikitext", tmp_path / "texts", kind="dataset")
    (tmp_path / "work" / "registry.yaml").unlink()
    _, said = typed("add", shared / "models" / "stories260K")
    assert "these data are a proposal (Salesforce/wikitext; 7.7 MB; licence: CC-BY-SA-3.0)" in said
    assert not hub.requests
    (data,) = json.loads(typed("plan", "--json")[0])["fetch"]
    assert data["source"].startswith("datasets/Salesforce/wikitext@")
    assert data["missing"] == data["bytes"] > 0
    assert not large(hub)


@pytest.mark.slow
def test_a_run_fetches_each_byte_once_and_keeps_its_commits(hub, typed, shared, tmp_path):
    typed("run", "--stage", "extract", "--sample-size", "16")
    weights = (shared / "models" / "stories260K" / "model.safetensors").stat().st_size
    table = tmp_path / "words" / "default" / "train" / "0000.parquet"
    assert large(hub) == {
        "acme/stories/model.safetensors": weights,
        "acme/words/default/train/0000.parquet": table.stat().st_size,
    }
    commits = {name: each.branches["main"] for (_, name), each in hub.repositories.items()}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"body": "Something else."}] * 50), table)
    hub.add("acme/words", tmp_path / "words", kind="dataset")
    after = json.loads(typed("plan", "--stage", "extract", "--sample-size", "16", "--json")[0])
    assert [each["source"].rpartition("@")[2] for each in after["fetch"]] == [
        commits["acme/stories"], commits["acme/words"]
    ]  # fmt: skip
    reasons = [why for unit in after["units"] for why in unit["why"]]
    assert not [why for why in reasons if not why.startswith(("code of", "input "))]  # the code may be under repair
