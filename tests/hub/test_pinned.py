"""A run keeps the commits that it was planned with, whatever is published meanwhile, and says so."""

import pytest

KEEPS = "This run keeps the commit that it was planned with; `nexus run --reset` begins anew"


def pinned(person):
    return person.pins["settled"]["tiny"]["source"].partition("@")[2], *person.pins["data"].values()


def test_what_is_published_between_plan_and_run_and_resume_changes_nothing(person, hub, decoder, sentences):
    person.writes()
    began = hub.add("acme/tiny", decoder("a")), hub.add("acme/words", sentences("words"), kind="dataset")
    shown = {each["what"]: each["source"].partition("@")[2] for each in person.plans()["fetch"]}
    assert (shown["checkpoint"], shown["data"]) == began
    assert not person.run.exists()
    later = hub.add("acme/tiny", decoder("b", 1)), hub.add("acme/words", sentences("other-words", "b"), kind="dataset")
    said = person.types("run", "--stage", "profile")
    assert f"tiny, checkpoint: acme/tiny has moved on its hub, to {later[0][:12]}. {KEEPS}" in said
    assert f"tiny, data: datasets/acme/words has moved on its hub, to {later[1][:12]}. {KEEPS}" in said
    assert pinned(person) == began


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_commits_until_it_is_reset(person, hub, decoder, sentences):
    person.writes()
    began = hub.add("acme/tiny", decoder("a")), hub.add("acme/words", sentences("words"), kind="dataset")
    person.types("run", "--stage", "profile")
    later = hub.add("acme/tiny", decoder("b", 1)), hub.add("acme/words", sentences("other-words", "b"), kind="dataset")
    said = person.types("run")
    assert KEEPS in said
    assert "10 units to run, 1 cached" in said
    teacher, (capability,) = person.manifest["teachers"]["tiny"], person.manifest["capabilities"]
    assert (teacher["source"], capability["data"]["options"]["revision"]) == (f"acme/tiny@{began[0]}", began[1])
    other = hub.add("acme/other", decoder("c", 2))
    person.types("add", "acme/other", "--name", "other", "--data", "words")
    plan = person.plans()
    again = {unit["name"]: unit["why"] for unit in plan["units"] if unit["state"] == "run"}
    assert not {name: why for name, why in again.items() if name.endswith("/tiny")}, (
        "of what was made nothing is made anew"
    )
    sources = {each["teacher"]: each["source"] for each in plan["fetch"] if each["what"] == "checkpoint"}
    assert sources == {"tiny": f"acme/tiny@{began[0]}", "other": f"acme/other@{other}"}
    assert {each["source"] for each in plan["fetch"] if each["what"] == "data"} == {f"datasets/acme/words@{began[1]}"}
    person.writes()
    assert KEEPS not in person.types("run", "--reset")
    assert pinned(person) == later


@pytest.mark.slow
def test_the_next_plan_shows_what_is_there_now(person, hub, decoder, sentences):
    """A plan of nothing begun yet is no promise to the next plan."""
    person.writes()
    hub.add("acme/words", sentences("words"), kind="dataset")
    commits = []
    for seed in (0, 1):
        commits.append(hub.add("acme/tiny", decoder(f"d{seed}", seed)))
        assert person.plans()["fetch"][0]["source"] == f"acme/tiny@{commits[-1]}"
    person.types("run", "--stage", "profile")
    assert pinned(person)[0] == commits[-1]


@pytest.mark.slow
def test_another_content_under_the_same_commit_is_refused(person, hub, decoder, sentences):
    person.writes()
    hub.add("acme/tiny", decoder("a"))
    hub.add("acme/words", sentences("words"), kind="dataset")
    person.types("plan")
    hub.damaged["acme/tiny/model.safetensors"] = 1
    person.types("run", "--stage", "profile")
    assert hub.damaged["acme/tiny/model.safetensors"] == 0, "fetched once more"
    hub.damaged["acme/words/default/test/0000.parquet"] = 9
    said = person.types("run", "--stage", "score", code=1)
    assert "came damaged twice: its content has not the hash" in said
    hub.damaged.clear()
    person.types("run", "--stage", "score")
