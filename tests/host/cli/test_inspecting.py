"""`nexus inspect NAME`: a word that is no checkpoint may be what the registry calls a teacher."""

import pytest

from nexus_host.__main__ import run

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
@pytest.mark.parametrize("command", ["inspect", "add"])
def test_a_teacher_of_the_registry_is_named_with_its_source(told, command, word):
    said = told(command, word)
    assert "The registry has a teacher 'writer-7b': name its source, acme/Writer-7B-Instruct." in said


def test_a_word_that_is_nothing_says_how_the_hub_names_things(told):
    said = told("inspect", "gpt2")
    assert "no folder 'gpt2' here, and on the hub a name has an owner: OWNER/gpt2" in said
    assert "The registry" not in said


def test_a_misspelt_folder_is_still_asked_after(told, tmp_path):
    (tmp_path / "llama").mkdir()
    assert "Did you mean 'llama'?" in told("inspect", "lama")
