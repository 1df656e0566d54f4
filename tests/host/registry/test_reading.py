"""YAML as people write it, and as an attacker would."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from nexus_host.registry.reading import leaves, read, value


def data(text):
    document = read(text, "r.yaml")
    assert not document.problems, document.problems
    return document.data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), ("5.", 5.0), (".5", 0.5), ("-1_000", -1000), ("0x1F", 31), ("0o17", 15),
        ("+3", 3),
        ("3.10", 3.1), (".inf", float("inf")), ("on", "on"), ("no", "no"), ("yes", "yes"), ("true", True),
        ("False", False),
        ("~", None), ("null", None), ("", None), ("2020-01-01", "2020-01-01"), ("'1'", "1"), ("[1, a]", [1, "a"]),
        ("{on: 1, 2: b}", {"on": 1, "2": "b"}), ("08", 8),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(text, expected):
    assert value(text) == expected


def test_places_count_from_one():
    document = read("a:\n  b: [1,\n      {c: 2}]\n", "r.yaml")
    places = {path: str(place) for path, place in document.places.items()}
    assert places[("a",)] == "r.yaml:1:1"
    assert places["a", "b"] == "r.yaml:2:3"
    assert places["a", "b", 0] == "r.yaml:2:7"
    assert places["a", "b", 1, "c"] == "r.yaml:3:8"


def test_merging_and_aliases():
    assert data("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}]}") == {
        "x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2, "c": 4},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: 2\na: 3", "is written twice; first in line 1", 3),
        ("a: {b: 1,\n b: 2}", "is written twice; first in line 1", 2),
        ("a: [1\nb: 2", "is no YAML", 2),
        ("a: *nothing", "found undefined alias", 1),
        ("a: !!python/object:os.system 1", "the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed", 1),
        ("a: !mine 1", "is not allowed", 1),
        ("? [a, b]\n: 1", "a key must be text", 1),
        ("a: &x [*x]", "endless or too large", 1),
        ("a: {<<: 3}", "<<: takes a mapping", 1),
        ("[" * 30 + "]" * 30, "nested deeper than 24", 1),
        ("a: &x 1\n" + "".join(f"b{n}: *x\n" for n in range(70)), "more than 64 aliases", 66),
        ("a: b\n\nc: \x00", r"is no YAML: the character '\x00' may not stand in it", 3),
        ("a:\n\tb: 1", "a tab stands here; indent and separate with spaces", 2),
        ("a: 1\n---\nb: 2", "a second document begins here (---); keep one", 2),
        ("a: [1,\n 2\nb: 3", "(while parsing a flow sequence that begins in line 1)", 3),
        ("a: !!python/object/apply:os.system ['id']", "python/object/apply:os.system' is not allowed", 1),
        ("b: 1\na: !mine {b: 1}", "the tag '!mine' is not allowed", 2),
        ("a:\n  b: " + "9" * 5000, "is 99999999999999999999…, which is no number", 2),
        ("a: [" + "x, " * 20_000 + "]", "has more than 20000 values", 1),
    ],
)
def test_mistakes_have_a_place(text, message, line):
    document = read(text, "r.yaml")
    problem = next(each for each in document.problems if message in each.message)
    assert problem.place.line == line


def test_a_bomb_of_aliases_is_refused_quickly():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8))
    document = read(text, "r.yaml")
    (problem,) = document.problems
    assert "endless or too large" in problem.message
    assert document.data is None


def test_a_value_that_holds_itself_is_said_once():
    document = read("a:\n  b: &b\n    c: {d: *b}\ne: 1\n", "r.yaml")
    (problem,) = document.problems
    assert problem.path == ("a", "b", "c", "d")
    assert problem.message == "its aliases (*name) make it endless or too large"
    assert document.data is None


def test_a_huge_file_is_refused():
    assert "characters" in read("a: " + "x" * 1_000_001, "r.yaml").problems[0].message


def test_nothing_is_nothing():
    assert read("# only a comment", "r.yaml").data is None


@settings(deadline=None)  # a busy machine is slow, the reader is not
@given(some.text(alphabet="ab:[]{}-&*!\n 1'\"#?|>,.%@`", max_size=40))
def test_no_text_crashes_the_reader(text):
    read(text, "r.yaml")


def test_leaves():
    assert list(leaves({"a": [1, {"b": 2}]})) == [(("a", 0), 1), (("a", 1, "b"), 2)]


def test_a_value_that_is_no_yaml():
    with pytest.raises(ValueError, match="is no YAML"):
        value("[1")
