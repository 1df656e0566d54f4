"""Data sets that are named and not described: taken from catalogues, for cards and for `--datasets`."""

import pytest
from nexus_specs import NexusError

from nexus_host.registry import Registry, RegistryError

ROWS = [
    {"name": "sums", "id": "acme/sums", "tags": ["reasoning", "benchmark"], "columns": ["text", "answer"],
     "reader": "anywhere", "options": {"path": "hub:datasets/acme/sums"}},
    {"name": "facts", "id": "acme/facts", "tags": ["benchmark"], "columns": ["text"],
     "reader": "anywhere", "options": {"path": "hub:datasets/acme/facts"}},
    {"name": "photos", "id": "acme/photos", "tags": ["vision", "benchmark"], "columns": ["image", "label"],
     "reader": "anywhere", "options": {"path": "hub:datasets/acme/photos"}},
    {"name": "charts", "id": "acme/charts", "tags": ["reasoning"], "columns": ["text", "image", "answer"],
     "reader": "anywhere", "options": {"path": "hub:datasets/acme/charts"}},
    {"name": "shown", "summary": "A card without a reader is for people alone", "tags": ["benchmark"]},
]  # fmt: skip
TEXT = """\
teachers:
  counts: {source: org/counts, tower: words, datasets: [sums, facts]}
  knows: {source: org/knows, tower: words, data: facts}
  reads: {source: org/reads, tower: words, data: own, datasets: [sums]}
  sees: {source: org/sees, tower: shapes, data: own}
  later: {source: org/later, tower: words, status: available, datasets: [unheard-of]}
towers: {words: {component: text}, shapes: {component: image}}
data:
  own: {reader: lines, options: {path: words.txt}, tags: [mine]}
"""


PLUGIN = """
    @hookimpl
    def nexus_readers():
        yield ReaderComponent(name="anywhere", target="anywhere:Anywhere", summary="Reads", options="anywhere:Options")
"""
READER = """
    from dataclasses import dataclass

    @dataclass
    class Options:
        path: str = ""
        sets: tuple = ()

    class Anywhere:
        pass
"""


@pytest.fixture
def load(whole, tmp_path, monkeypatch):
    whole.plugin("away", PLUGIN)
    whole.module("anywhere", READER)
    plugins = whole.found()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(plugins), "catalogue", lambda self, kind: ROWS)

    def load(text=TEXT, **selection):
        (tmp_path / "registry.yaml").write_text(text)
        return Registry.load(None, plugins, **selection)

    return load


def test_cards_name_sets_of_a_catalogue(load):
    model = load().model
    assert model.teachers["knows"].data == "facts"
    assert model.data["facts"].options == {"path": "hub:datasets/acme/facts"}
    assert model.teachers["counts"].data == "sums-and-facts"
    both = model.data["sums-and-facts"]
    assert both.reader == "anywhere"
    assert both.options["sets"] == [ROWS[0]["options"], ROWS[1]["options"]]
    assert set(both.tags) == {"sums", "facts", "acme/sums", "acme/facts", "reasoning", "benchmark"}
    assert model.teachers["reads"].data == "own"


@pytest.mark.parametrize(
    ("datasets", "teachers", "data"),
    [
        (["mine"], ["reads", "sees"], {"reads": "own"}),
        (["sums"], ["counts", "reads"], {"reads": "sums", "counts": "sums"}),
        (["reasoning"], ["counts", "reads"], {"reads": "sums"}),
        (["acme/photos"], ["sees"], {"sees": "photos"}),
        (["all"], ["counts", "knows", "reads", "sees"], {"reads": "own"}),
    ],
)
def test_datasets_gives_teachers_what_they_list_or_can_read(load, datasets, teachers, data):
    registry = load(datasets=datasets)
    assert [name for name in registry.teachers if name in teachers] == teachers
    assert {name: registry.model.teachers[name].data for name in data} == data


def test_a_set_that_nobody_lists_goes_to_whoever_can_read_it(load):
    registry = load(TEXT.replace("sums, facts", "sums").replace("data: facts", "data: own"), datasets=["facts"])
    assert list(registry.teachers) == ["counts", "knows", "reads"]
    assert {card.data for card in registry.teachers.values()} == {"facts"}


def test_a_name_that_no_catalogue_knows_is_a_mistake(load):
    with pytest.raises(RegistryError, match=r"registry\.yaml:3:.*'fact' is neither among the data nor in a catalogue"):
        load(TEXT.replace("data: facts", "data: fact"))


def test_texts_about_pictures_are_not_for_those_who_cannot_see(load):
    found = load(TEXT.replace("datasets: [sums, facts]", "data: own").replace(", datasets: [sums]", ""),
                 datasets=["reasoning"])  # fmt: skip
    wanted = dict.fromkeys(("counts", "knows", "reads"), "sums") | {"sees": "charts"}
    assert {name: card.data for name, card in found.teachers.items()} == wanted


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("datasets: [sums, facts]", "datasets: [sums, fact]",
         r"registry\.yaml:2:\d+: teachers\.counts\.datasets\.1: 'fact' is in no catalogue\. Did you mean 'facts'"),
        ("data: facts}", "data: fact}",
         r"teachers\.knows\.data: 'fact' is neither among the data nor in a catalogue\. Did you mean 'facts'\? "),
        ("data: facts}", "data: quux}", r"'quux' is neither among the data nor in a catalogue\. There: own"),
    ],
)  # fmt: skip
def test_a_set_that_nobody_knows_is_said_where_it_is_named(load, before, after, message):
    with pytest.raises(RegistryError, match=message) as caught:
        load(TEXT.replace(before, after))
    assert "is missing; a ready teacher names" not in str(caught.value)


def test_a_word_of_the_catalogue_that_no_teacher_can_use_is_no_unknown_word(load):
    with pytest.raises(NexusError, match=r"--datasets: 'acme/charts' means charts, and none of the ready teachers"):
        load(TEXT.replace("shapes, data: own}", "shapes, data: own, status: available}"), datasets=["acme/charts"])
    with pytest.raises(NexusError, match=r"'chrats'\. Did you mean 'charts'\? Here: .*`nexus list datasets` shows"):
        load(datasets=["chrats"])
