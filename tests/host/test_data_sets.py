"""Data that lie on a hub: held to a commit, shown, and not fetched for an estimate."""

import pytest
from nexus_specs import Choice, NexusError, Origin

from nexus_host.planning.data_sets import DataSets, origin_of

ORIGIN = Origin(source="datasets/acme/words@" + "0" * 40, commit="0" * 40, bytes=9, missing=9)
PLUGIN = """
    @hookimpl
    def nexus_readers():
        yield ReaderComponent(name="away", target="away:Away", summary="Reads", options="away:Options")
        yield ReaderComponent(name="here", target="away:Here", summary="Reads")
"""
READER = """
    from dataclasses import dataclass
    from nexus_specs import Origin

    ASKED = []

    @dataclass
    class Options:
        id: str = ""
        revision: str = ""

    class Here:
        pass

    class Away:
        def __init__(self, id="", revision=""):
            self.revision = revision
        def origin(self):
            ASKED.append(self.revision)
            commit = self.revision or "0" * 40
            return Origin(source=f"datasets/acme/words@{commit}", commit=commit, bytes=9, missing=9)
"""


@pytest.fixture
def plugins(site):
    site.plugin("away", PLUGIN)
    site.module("away", READER)
    return site.found()


def away(**options):
    return Choice(kind="reader", name="away", options={"id": "acme/words", "revision": "", **options})


def test_a_reader_is_held_to_the_commit_that_was_found(plugins):
    data = DataSets(plugins, {})
    assert data.pinned("one", away()).options["revision"] == "0" * 40
    assert data.pinned("two", away()) == data.pinned("one", away())
    assert data.origins == {"one": ORIGIN, "two": ORIGIN}
    assert list(data.pins.values()) == ["0" * 40]


def test_a_pin_of_an_earlier_run_is_kept_and_a_named_revision_stays(plugins):
    first = DataSets(plugins, {})
    first.pinned("one", away())
    data = DataSets(plugins, dict.fromkeys(first.pins, "1" * 40))
    assert data.pinned("one", away()).options["revision"] == "1" * 40
    assert data.pinned("two", away(revision="2" * 40)).options["revision"] == "2" * 40


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
