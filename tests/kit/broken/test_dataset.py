"""A good catalogue, and broken ones that the kit rejects with advice."""

import pytest
from nexus_specs.testing import DatasetTests

CARD = {"name": "digits", "summary": "Handwritten digits of 8 x 8 pixels", "licence": "BSD-3-Clause", "tags": ["image"]}


def good():
    return [CARD, CARD | {"name": "tones"}]


def iterator():
    return iter([CARD])


def nothing():
    return []


def names():
    return ["digits"]


def not_json():
    return [CARD | {"loader": good}]


def no_licence():
    return [{name: value for name, value in CARD.items() if name != "licence"}]


def no_summary():
    return [CARD | {"summary": " "}]


def long_summary():
    return [CARD | {"summary": "digits " * 40}]


def word_for_tags():
    return [CARD | {"tags": "image"}]


def twice():
    return [CARD, CARD]


BROKEN = [
    (iterator, "Return a list"),
    (nothing, "or yield no component"),
    (names, "Return mappings"),
    (not_json, "holds what JSON does not keep"),
    (no_licence, "under which licence it may be used"),
    (no_summary, "has no summary"),
    (long_summary, "Use one line"),
    (word_for_tags, "Give a list of words"),
    (twice, "Rename one"),
]


def test_good_catalogue_is_accepted(suite, accepted):
    accepted(suite(DatasetTests, good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_catalogue_is_rejected(component, advice, suite, rejected):
    rejected(suite(DatasetTests, component), advice)
