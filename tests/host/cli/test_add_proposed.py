"""`nexus add` without --data: what a sibling has, what the tower says, what a catalogue has; nobody is asked for it."""

import json
import os
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nexus_host.__main__ import run
from nexus_host.adding.proposing import OFFLINE, told, unasked

PLUGIN = """
    @hookimpl
    def nexus_datasets():
        yield DatasetComponent(name="known", target="known:cards", summary="Known sets")
"""
CARDS = """
    import json
    from pathlib import Path

    def cards():
        return json.loads(Path(__file__).with_name("cards.json").read_text())
"""
PLAYS = {
    "name": "plays", "id": "acme/plays", "columns": ["text"], "size": "9 B", "licence": "CC0", "gated": True,
    "reader": "away", "options": {"id": "acme/plays"},
}  # fmt: skip


def pictures(name, classes, *columns):
    columns = columns or ("image", "label")
    return {"name": name, "classes": classes, "columns": columns, "reader": "away", "options": {"id": f"acme/{name}"}}


@pytest.fixture
def add(whole, away, tmp_path, monkeypatch, capsys):
    """Adds in a folder with a checkpoint of words and one that tells ten classes of pictures apart."""
    whole.plugin("known", PLUGIN)
    whole.module("known", CARDS)
    source = (whole.folder / "whole_plugin.py").read_text()
    source = source.replace('metric="bits"', 'metric="bits", data="plays"')
    (whole.folder / "whole_plugin.py").write_text(source.replace('metric="accuracy"', 'metric="accuracy", data="all"'))
    work = tmp_path / "work"
    for name in ("words", "image", "image-more"):
        (work / name).mkdir(parents=True)
        (work / name / "box").touch()
    (work / "data.txt").touch()
    monkeypatch.chdir(work)
    monkeypatch.delenv(OFFLINE, raising=False)
    monkeypatch.setattr("nexus_host.cli.add.preview", lambda *given: print("PLAN", os.environ.get(OFFLINE)))

    def add(*arguments, cards=(PLAYS,)):
        (whole.folder / "cards.json").write_text(json.dumps(cards))
        code = run(["add", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return add


def written():
    return YAML(typ="safe").load(Path("registry.yaml"))


def test_what_the_tower_proposes_is_written_and_nobody_is_asked(add):
    code, out, err = add("words")
    assert (code, out) == (0, ""), err
    assert written()["teachers"]["words"]["data"] == "plays"
    assert "data" not in written()
    assert "these data are a proposal (acme/plays; 9 B; licence: CC0; its owner asks for agreement first)" in err
    assert "Nobody was asked for these data yet: `nexus plan` asks" in err
    assert sys.modules["away_parts"].OFFLINE == ["1"]
    assert OFFLINE not in os.environ


def test_what_is_here_already_is_planned_with_and_nobody_is_asked(add):
    Path("fetched").touch()
    assert add("words")[:2] == (0, "PLAN 1\n")
    assert OFFLINE not in os.environ


@pytest.mark.parametrize("arguments", [["box:words"], ["words", "--data", "plays"]])
def test_who_names_something_elsewhere_asks_for_it(add, arguments):
    assert add(*arguments)[:2] == (0, "PLAN None\n")


def test_a_known_set_of_something_else_is_refused(add):
    code, _, err = add("image", "--data", "plays", cards=[PLAYS])
    assert code == 1
    assert "data 'plays': its samples hold text, and this checkpoint takes image. Name data with image" in err


def test_what_a_sibling_has_comes_first_and_was_named(add):
    assert add("words", "--data", "data.txt")[0] == 0
    assert add("words", "--name", "more")[:2] == (0, "PLAN None\n")
    assert written()["teachers"]["more"]["data"] == "words"


def test_classes_decide(add):
    code, _, err = add(
        "image", cards=[pictures("all", 1000), pictures("ten", 10), pictures("said", 10, "audio", "label")]
    )
    assert code == 0, err
    assert written()["teachers"]["image"]["data"] == "ten"
    Path("registry.yaml").unlink()
    assert add("image", cards=[pictures("all", 10), pictures("ten", 10)])[0] == 0
    assert written()["teachers"]["image"]["data"] == "all", "the tower's own word"


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        (
            [pictures("all", 1000), pictures("a", 10), pictures("b", 10)],
            "10 classes: a, b. Choose one with --data NAME",
        ),
        ([pictures("all", 1000), pictures("films", 10, "image", "video", "label")], "needs data to be distilled on"),
        ([pictures("all", 1000), pictures("bare", 10, "image")], "needs data to be distilled on. Add --data FILE"),
    ],
)
def test_nothing_that_does_not_fit_is_proposed(add, cards, said):
    code, _, err = add("image", cards=cards)
    assert code == 1
    assert said in err
    assert not Path("registry.yaml").exists()


def test_a_sibling_with_other_classes_is_none(add, whole):
    assert add("image", "--data", "data.txt")[0] == 0
    assert add("image-more")[0] == 0
    assert written()["teachers"]["image-more"]["data"] == "image"
    text = Path("registry.yaml").read_text().replace("source: ./image\n", "source: box:image\n")
    Path("registry.yaml").write_text(text.replace("source: ./image-more\n", "source: box:image\n"))
    assert add("image", "--name", "third", cards=[pictures("all", 10)])[0] == 0
    assert written()["teachers"]["third"]["data"] == "all", "what lies elsewhere is not looked at for that"


def test_a_set_says_what_is_known_of_it():
    assert told({"id": "a/b", "size": "9 B"}) == "a/b; 9 B"
    assert told({}) == ""


def test_what_the_user_said_about_the_hub_stays(monkeypatch):
    monkeypatch.setenv(OFFLINE, "0")
    with unasked():
        assert os.environ[OFFLINE] == "1"
    assert os.environ[OFFLINE] == "0"
