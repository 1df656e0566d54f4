"""Descriptors, options, sources and targets."""

import dataclasses

import pytest
from nexus_specs import (
    Choice,
    Component,
    MetricComponent,
    StageComponent,
    TowerComponent,
    locate,
    location,
    neutral,
    option,
    resolve,
)


@dataclasses.dataclass
class Options:
    """Every sort of option."""

    steps: int = option(100, help="How many", low=1, high=1000, flag="--steps")
    workers: int = neutral(1, help="Processes")
    path: str = location(help="Where the data lie")


def test_options_carry_what_the_host_shows_and_hashes():
    steps, workers, path = dataclasses.fields(Options)
    assert steps.metadata == {"help": "How many", "flag": "--steps", "low": 1, "high": 1000}
    assert workers.metadata["neutral"] is True
    assert path.metadata["location"] is True
    assert Options() == Options(steps=100, workers=1, path="")


def test_descriptors_take_keywords_alone():
    with pytest.raises(TypeError):
        Component("name", "module:attr", "Summary")


@pytest.mark.parametrize(
    ("kind", "more", "field", "value"),
    [
        (MetricComponent, {}, "higher_is_better", True),
        (TowerComponent, {"takes": ("image",), "gives": ("label",)}, "metric", ""),
        (StageComponent, {"scope": "teacher"}, "opens_teachers", False),
    ],
)
def test_descriptors_have_defaults(kind, more, field, value):
    made = kind(name="a", target="module:attr", summary="A", **more)
    assert getattr(made, field) == value
    assert made == dataclasses.replace(made)


def test_choice_weighs_one_and_applies_to_all():
    choice = Choice(kind="loss", name="forward_kl")
    assert (choice.weight, choice.teachers, dict(choice.options)) == (1.0, (), {})


def test_locate_leaves_a_path_and_expands_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("some/where") == locate("./some/where")
    assert locate("~/data") == tmp_path / "data"


def test_locate_finds_what_a_package_ships():
    assert locate("package:nexus_specs/py.typed").is_file()


@pytest.mark.parametrize("source", ["package:no_such_package/data", "package:json.decoder/data"])
def test_locate_says_which_package_is_missing(source):
    with pytest.raises((FileNotFoundError, ModuleNotFoundError), match=r"is not installed|json\.decoder"):
        locate(source)


def test_resolve_follows_attributes():
    assert resolve("pathlib:Path.home")() == resolve("pathlib:Path")().home()
    assert resolve("json") is __import__("json")


def test_resolve_of_a_missing_attribute_raises():
    with pytest.raises(AttributeError, match="no_such"):
        resolve("json:no_such")
