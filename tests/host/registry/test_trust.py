"""`revision` and `trust`: one commit is meant, and only its code may run."""

import os

import pytest

from nexus_host.registry import Registry, RegistryError
from nexus_host.registry.trust import VARIABLE, allow, pinned

COMMIT = "0123456789" * 4
TEXT = """\
teachers:
  words: {{source: {source}, tower: words, data: words{more}}}
towers: {{words: {{component: text}}}}
data: {{words: {{reader: lines, options: {{path: words.txt}}}}}}
"""


@pytest.fixture
def load(plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(source, more=""):
        (tmp_path / "registry.yaml").write_text(TEXT.format(source=source, more=more))
        return Registry.load(None, plugins)

    return load


@pytest.mark.parametrize(
    ("source", "more", "found"),
    [
        ("acme/words", "", "acme/words"),
        ("acme/words", ", revision: v1", "acme/words@v1"),
        ("hub:acme/words", f", revision: '{COMMIT}'", f"hub:acme/words@{COMMIT}"),
        ("acme/words@v2", ", revision: v1", "acme/words@v2"),
        ("acme/words", f", trust: acme/words@{COMMIT}", f"acme/words@{COMMIT}"),
        ("package:acme/words", ", revision: v1", "package:acme/words"),
    ],
)
def test_the_source_is_at_the_commit_that_the_card_names(load, source, more, found):
    assert load(source, more).model.teachers["words"].source == found


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ("acme/words", ", trust: acme/words", "write owner/name@COMMIT with all 40 digits"),
        ("acme/words", ", trust: acme/words@main", "A branch can change under you"),
        ("acme/words", f", trust: acme/other@{COMMIT}", "is for 'acme/other', but the source is 'acme/words'"),
        ("acme/words@v1", f", trust: acme/words@{COMMIT}", "but the revision is 'v1'"),
        ("acme/words", f", revision: v1, trust: acme/words@{COMMIT}", "but the revision is 'v1'"),
    ],
)
def test_trust_names_one_commit_of_the_source(load, source, more, message):
    with pytest.raises(RegistryError, match=rf"registry\.yaml:2:\d+: teachers\.words\.trust: .*{message}"):
        load(source, more)


def test_trust_is_handed_on_and_taken_back(load, monkeypatch):
    monkeypatch.setenv(VARIABLE, "left/over")
    allow(load("acme/words", f", trust: acme/words@{COMMIT}").teachers.values())
    assert os.environ[VARIABLE] == f"acme/words@{COMMIT}"
    allow(load("acme/words").teachers.values())
    assert VARIABLE not in os.environ


def test_a_slash_in_a_branch_begins_no_path():
    assert pinned("acme/tiny", "feature/x", "") == "acme/tiny@feature%2Fx"
    assert pinned("acme/tiny", "refs/pr/1", "") == "acme/tiny@refs/pr/1"
    assert pinned("acme/tiny", "refs/heads/x", "") == "acme/tiny@refs%2Fheads%2Fx"
