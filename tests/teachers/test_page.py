"""docs/teachers.md has a row for each tiny teacher, as the generator writes it."""

import re
from pathlib import Path

import pytest
from nexus_data.hub.catalogue import cards
from teachers import COLUMNS, TOLD, TOWER, Row, measured, page
from tiny_teachers.rows import TINY
from tiny_teachers.towers import ready, standing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "teachers.md"


def table(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def fresh():
    """The page with what is known without building anything."""
    rows = [
        Row(name=tiny.name, cells=(tiny.name, tiny.stands_for, *("",) * (TOLD - 2), tiny.checked, tiny.absent),
            layers=0, stacks=0, difference=0.0)
        for tiny in TINY
    ]  # fmt: skip
    return page(rows, [tiny.name for tiny in TINY if tiny.card], 1e-5)


def test_the_page_is_what_the_generator_writes():
    committed, made = table(PAGE.read_text(encoding="utf-8")), table(fresh())
    told = (0, 1, TOLD, TOLD + 1)
    assert [[row[place] for place in told] for row in committed] == [[row[place] for place in told] for row in made]


def test_every_row_says_what_came_of_it():
    for row in table(PAGE.read_text(encoding="utf-8")):
        assert all(row[2:7]), f"{row[0]}: a cell is empty"
        assert row[TOLD] or row[TOLD + 1] or row[2] == "transformers"
    found = re.search(r"(\d+) teachers, \d+ stacks, (\d+) layers; the largest difference is (\S+)\.\n",
                      PAGE.read_text(encoding="utf-8"))  # fmt: skip
    assert int(found[1]) == len(TINY)
    assert float(found[3]) <= 1e-5


def test_it_says_for_each_card_whether_its_tower_is_there():
    text, gives = PAGE.read_text(encoding="utf-8"), COLUMNS.index("gives")
    rows = [row for row in table(text) if not row[0].startswith("*")]
    assert [row[TOWER] for row in rows] == [standing(row[0], row[gives].split(", ")) for row in rows]
    count = sum(ready(row[TOWER]) for row in rows)
    assert f"{count} of the {len(rows)} cards" in text


def test_the_facts_are_the_generators_too():
    mark = "## Where the facts on the cards come from"
    made = page([Row(name="x", cells=("",) * len(COLUMNS), layers=0, stacks=0, difference=0.0)],
                [tiny.name for tiny in TINY if tiny.card], 1e-5)  # fmt: skip
    assert PAGE.read_text(encoding="utf-8").partition(mark)[2] == made.partition(mark)[2]


def test_the_readme_counts_the_catalogue():
    text = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    found = re.search(r"(\d+) data sets of the hub", text)
    assert found
    assert int(found[1]) == len(cards())


@pytest.mark.slow
def test_generating_it_again_changes_nothing():
    """All of it, every teacher built and observed; the largest difference alone may depend on the processor."""
    names, difference = [tiny.name for tiny in TINY if tiny.card], re.compile(r"the largest difference is \S+\.\n")
    rows = [measured(tiny, False) for tiny in TINY]
    assert not [row.error for row in rows if row.error]
    made = page(rows, names, max(tiny.tolerance for tiny in TINY))
    committed = PAGE.read_text(encoding="utf-8")
    assert difference.sub("", made) == difference.sub("", committed)
    assert difference.search(made)
