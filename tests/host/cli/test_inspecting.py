"""`nexus inspect NAME`: a word that is no checkpoint may be what the registry calls a teacher."""

import json

import pytest
from nexus_specs import Blueprint

from nexus_host.__main__ import run
from nexus_host.cli.inspecting import _words

REGISTRY = """
version: 1
teachers:
  writer-7b: {source: acme/Writer-7B-Instruct, aliases: [poet], status: available, capability: prose}
"""


@pytest.fixture
def told(whole, tmp_path, monkeypatch, capsys):
    """What is said of a source, in a folder with a registry."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.yaml").write_text(REGISTRY)

    def told(*command):
        assert run(list(command)) == 1
        return capsys.readouterr().err

    return told


@pytest.mark.parametrize("word", ["writer-7b", "poet", "Writer_7B", "Writer-7B-Instruct"])
def test_a_new_card_for_a_teacher_of_the_registry_is_asked_by_its_source(told, word):
    said = told("add", word)
    assert "The registry has a teacher 'writer-7b': name its source, acme/Writer-7B-Instruct." in said


@pytest.mark.parametrize("word", ["writer-7b", "poet", "Writer_7B", "Writer-7B-Instruct"])
def test_a_teacher_of_the_registry_is_looked_at_by_its_name(told, word, tmp_path, capsys):
    said = told("inspect", word)
    assert f"'{word}' is the teacher 'writer-7b' of the registry: acme/Writer-7B-Instruct" in said
    assert "acme/Writer-7B-Instruct" in said.splitlines()[-1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "box").touch()
    (tmp_path / "registry.yaml").write_text(REGISTRY.replace("acme/Writer-7B-Instruct", "./mine"))
    assert run(["inspect", "poet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["head"]) == (str(tmp_path / "mine"), "Box")


def test_what_is_there_comes_before_the_registry(told, tmp_path, capsys):
    (tmp_path / "poet").mkdir()
    (tmp_path / "poet" / "box").touch()
    assert run(["inspect", "poet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "poet"


def test_a_word_that_is_nothing_says_how_the_hub_names_things(told):
    said = told("inspect", "gpt2")
    assert "no folder 'gpt2' here, and on the hub a name has an owner: OWNER/gpt2" in said
    assert "The registry" not in said


def test_a_misspelt_folder_is_still_asked_after(told, tmp_path):
    (tmp_path / "llama").mkdir()
    assert "Did you mean 'llama'?" in told("inspect", "lama")


def test_what_pictures_take_is_left_to_a_plan():
    """A blueprint does not say how large they will be."""
    runs = {"how": "resident", "memory": 10**9, "micro_batch": 4, "sample": "", "reading_seconds": None}
    facts = {"family": "x", "head": "X", "gives": ("text",), "stacks": (),
             "parameters": 1, "active_parameters": 1, "bytes": 2, "dtype": "BF16"}  # fmt: skip
    texts, pictures = (_words(Blueprint(takes=takes, **facts), runs) for takes in (("text",), ("image", "text")))
    assert texts == "resident; 1.0 GB of memory for 4 short samples at a time"
    assert pictures == f"{texts} (a plan says what your pictures take)"
    shown = _words(Blueprint(takes=("image", "text"), **facts), runs | {"sample": "a picture of 640 x 480"})
    assert shown == "resident; 1.0 GB of memory for 4 samples at a time, each a picture of 640 x 480"
