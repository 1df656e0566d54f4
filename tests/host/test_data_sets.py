"""Data that lie on a hub: held to a commit, shown, and not fetched for an estimate."""

import pytest
from nexus_specs import Choice, NexusError, Origin

from nexus_host.planning.data_sets import DataSets, origin_of

ORIGIN = Origin(source="datasets/acme/words@" + "0" * 40, commit="0" * 40, bytes=9, missing=9)


@pytest.fixture
def plugins(away):
    return away.found()


def lying_away(**options):
    return Choice(kind="reader", name="away", options={"id": "acme/words", "revision": "", **options})


def test_a_reader_is_held_to_the_commit_that_was_found(plugins):
    data = DataSets(plugins, {})
    assert data.pinned("one", lying_away()).options["revision"] == "0" * 40
    assert data.pinned("two", lying_away()) == data.pinned("one", lying_away())
    assert data.origins == {"one": ORIGIN, "two": ORIGIN}
    assert list(data.pins.values()) == ["0" * 40]


def test_a_pin_of_an_earlier_run_is_kept_and_a_named_revision_stays(plugins):
    first = DataSets(plugins, {})
    first.pinned("one", lying_away())
    data = DataSets(plugins, dict.fromkeys(first.pins, "1" * 40))
    assert data.pinned("one", lying_away()).options["revision"] == "1" * 40
    assert data.pinned("two", lying_away(revision="2" * 40)).options["revision"] == "2" * 40


def test_data_on_this_machine_are_left_alone(plugins):
    choice = Choice(kind="reader", name="here", options={})
    data = DataSets(plugins, {})
    assert data.pinned("one", choice) is choice
    assert not data.origins


def test_what_cannot_be_looked_up_is_said():
    class Broken:
        def origin(self):
            raise OSError("no route")

    assert origin_of(object()) is None
    with pytest.raises(NexusError, match="cannot be looked up: no route"):
        origin_of(Broken())


def test_only_the_parts_that_are_read_count(plugins):
    data = DataSets(plugins, {})
    choice = Choice(kind="reader", name="parted", options={"id": "acme/words", "revision": ""})
    data.pinned("one", choice)
    data.pinned("two", lying_away())
    found = data.read({"one": ("train", "held_out")})
    assert (found["one"].missing, found["one"].rows) == (20, 20)
    assert data.origins["one"].missing == 30
    assert found["two"].missing == 0, "no unit reads it"
    assert data.read({"two": ("train",)})["two"] == ORIGIN, "that reader cannot tell parts apart"


def test_data_that_have_moved_are_kept_and_it_is_said(plugins):
    choice = Choice(kind="reader", name="parted", options={"id": "acme/words", "revision": ""})
    first = DataSets(plugins, {})
    first.pinned("one", choice)
    assert not first.moved, "nothing was pinned before"
    data = DataSets(plugins, first.pins)
    assert data.pinned("one", choice).options["revision"] == "0" * 40
    assert data.moved == {"one": "2" * 40}
    named = Choice(kind="reader", name="parted", options={"id": "acme/words", "revision": "1" * 40})
    assert data.pinned("two", named).options["revision"] == "1" * 40
    assert "two" not in data.moved, "its revision is written down"
