"""Views of snapshots, without a run."""

import io
import json

import pytest
from rich.console import Console

from nexus_host.showing.listing import print_listing
from nexus_host.showing.live import LiveView, drawn
from nexus_host.showing.plain import PlainView
from nexus_host.showing.status_view import print_status, status_of
from nexus_host.showing.tables import cell, print_table
from nexus_host.showing.text import duration, figures, steps
from nexus_host.store import Lock


def unit(name="train/prose", state="running", **fields):
    stage, _, subject = name.partition("/")
    known = {"why": [], "done": 120, "total": 400, "figures": {"loss": 1.5}, "elapsed": 65.0, "eta": 130.0, "error": ""}
    about = {"name": name, "stage": stage, "subject": subject, "fingerprint": "0", "state": state}
    return {**about, **known, **fields}


def snapshot(*units, phase="running", eta=200.0):
    return {"phase": phase, "elapsed": 70.0, "eta": eta, "units": list(units), "run": {"pid": 1, "start": 0.0}}


@pytest.fixture
def plain_view():
    lines, now = [], [0.0]
    view = PlainView(lines.append, clock=lambda: now[0])
    view.lines, view.now = lines, now
    return view


def test_plain_lines_come_with_changes_and_every_thirty_seconds(plain_view):
    plain_view.show(snapshot(unit()))
    plain_view.show(snapshot(unit()))
    assert plain_view.lines == ["train/prose: running"]
    plain_view.now[0] = 31.0
    plain_view.show(snapshot(unit(), unit("train/code", "cached")))
    assert plain_view.lines[-1] == "[1:10] 1 of 2 units done, about 3:20 left. train/prose 120/400 loss 1.5"
    plain_view.now[0] = 62.0
    plain_view.show(snapshot(unit(state="paused"), phase="paused", eta=None))
    plain_view.now[0] = 100.0
    plain_view.show(snapshot(unit(state="paused"), phase="paused", eta=None))
    assert plain_view.lines[-3:] == ["train/prose: paused", "[1:10] paused", "[1:10] 0 of 1 units done. paused"]
    plain_view.show(snapshot(unit(state="done", elapsed=3.21)))
    plain_view.say("and a line")
    plain_view.close()
    assert plain_view.lines[-2:] == ["train/prose: done in 3.2 s", "and a line"]


def test_the_live_view_shows_what_runs():
    out = Console(file=io.StringIO(), force_terminal=True, width=100)
    view = LiveView(out)
    view.show(
        snapshot(unit(), unit("profile/x", "cached"), unit("score/x", "failed"), unit("a/b", "blocked"), phase="paused")
    )
    view._live.refresh()
    view.say("[a line]")
    view.close()
    text = out.file.getvalue()
    for word in (
        "train/prose",
        "120/400",
        "1:05",
        "2:10",
        "loss 1.5",
        "1 failed",
        "1 blocked",
        "1 cached",
        "[a line]",
        "paused",
        "planning",
        "━",
    ):
        assert word in text


def test_words():
    assert [duration(each) for each in (None, 0.04, 12.3, 61, 3661)] == ["?", "0.0 s", "12 s", "1:01", "1:01:01"]
    assert figures({"loss": 1.23456, "rate": 1e-5}) == "loss 1.235, rate 1e-05"
    assert [steps(None, 3), steps(1, 3), steps(1, 0)] == ["", "1/3", "1"]
    assert [cell(each) for each in (None, False, 3, 1.5, 12345.6, "x")] == ["-", "no", "3", "1.500", "12,346", "x"]


def test_tables_are_plain_text_off_a_terminal():
    out = Console(file=io.StringIO(), width=80)
    print_table({"columns": ["a", "b"], "rows": [["[red]", 1], ["y", None]], "notes": ["[note]"]}, out)
    text = out.file.getvalue()
    assert "[red]" in text
    assert "[note]" in text
    assert "\x1b" not in text


def test_the_bar_of_a_run_goes_by_units_where_no_time_is_known():
    out = Console(file=io.StringIO(), force_terminal=True, width=100)
    out.print(drawn(snapshot(unit(state="done"), eta=None)))
    assert "1/1 units" in out.file.getvalue()
    assert "left ?" in out.file.getvalue()


def test_wide_tables_lose_no_letter_on_a_narrow_terminal():
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=60)
    columns = ["capability", "teacher", "student", "control", "floor", "retention", "gap closed", "parameters"]
    print_table({"columns": columns, "rows": [["keypad tones", *"1234567"]]}, out)
    text = out.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60


RESULT = {
    "title": "What the student kept",
    "columns": [
        "capability",
        "teacher",
        "student",
        "control",
        "floor",
        "retention",
        "gap closed",
        "parameters",
        "result",
    ],
    "rows": [
        ["prose", 1.551, 1.601, 1.677, 3.612, "97.6 % [96.8 %, 98.5 %]", "60.8 %", "219,136 of 1,115,840", "pass"],
        ["keypad tones", 0.961, 0.958, 0.85, 0.062, "99.7 % [98.9 %, 100.4 %]", None, "81,041 of 268,896", "FAIL"],
    ],
    "notes": ["Parameters of the whole student: 1,720,250."],
}


@pytest.mark.parametrize(("width", "parts"), [(140, 1), (80, 2), (60, 3), (20, 8)])
def test_a_wide_result_is_printed_in_parts_and_no_figure_is_cut(width, parts):
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    print_table(RESULT, out)
    text = out.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert text.count("prose") == parts
    if width >= 60:
        for figure in ("97.6 % [96.8 %, 98.5 %]", "219,136 of 1,115,840", "1.677", "keypad tones", "gap closed"):
            assert figure in text


def test_long_sentences_are_folded_and_long_lists_stay_one_table():
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=60)
    rows = [[f"plugin-{number}", "loaded", "a sentence that says at length what it is and why"] for number in range(2)]
    print_table({"columns": ["name", "state", "summary"], "rows": rows}, out)
    assert out.file.getvalue().count("plugin-0") == 1
    assert "plugin-0   loaded   a sentence that says at length what it\n" in _stripped(out)
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=30)
    print_table({"columns": ["name", "one", "two"], "rows": [["x" * 20, "y" * 20, "z" * 20]] * 50}, out)
    assert max(map(len, out.file.getvalue().splitlines())) <= 30
    assert "name" not in out.file.getvalue().split("one", 1)[1]
    print_table({"columns": [], "rows": []}, out)


def _stripped(out):
    return "".join(line.rstrip() + "\n" for line in out.file.getvalue().splitlines())


def test_the_status_of_a_run_that_has_not_planned_yet(tmp_path):
    with Lock(tmp_path) as lock:
        lock.note("planning")
        status = status_of(tmp_path)
        assert status["phase"] == "planning"
        out = Console(file=io.StringIO(), width=80)
        print_status(status, out)
        assert "planning, process" in out.file.getvalue()


def test_the_status_of_a_run_whose_process_is_gone_is_not_what_it_last_wrote(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps(snapshot(unit())))
    status = status_of(tmp_path)
    assert (status["phase"], status["units"][0]["state"], status["eta"]) == ("interrupted", "interrupted", None)
    out = Console(file=io.StringIO(), width=80)
    print_status(status, out)
    assert "120/400" in out.file.getvalue()


def test_the_status_of_a_live_run_says_how_long_it_will_take():
    out = Console(file=io.StringIO(), width=80)
    print_status(snapshot(unit(elapsed=0.0)), out)
    assert "about 3:20 left" in out.file.getvalue()


NAME = "AVeryLongNameOfAPipelineThatIsNotFolded"
LOADERS = [[NAME, "verified", "text, image, audio", "A sentence " * 8, at] for at in range(9)]


@pytest.fixture
def listing():
    """Lines of a listing, on a terminal of some width or, 0, off one."""

    def listing(width, rows, heads=("name", "streams", "modalities", "summary", "parts")):
        out = Console(file=io.StringIO(), force_terminal=bool(width), color_system=None, width=width or 80)
        print_listing(heads, rows, out, title="things", notes=["a note"])
        return [line.rstrip() for line in out.file.getvalue().splitlines()]

    return listing


def test_off_a_terminal_a_listing_has_a_line_for_each_row(listing):
    lines = listing(0, LOADERS)
    assert len(lines) == 1 + 2 + len(LOADERS) + 1
    assert ("A sentence " * 8).strip() in lines[3]
    assert lines[3].endswith("   0")


def test_on_a_terminal_the_first_columns_are_shown_and_the_others_named(listing):
    lines = listing(80, LOADERS)
    assert max(map(len, lines)) <= 80
    assert lines[3].split() == [NAME, "verified", "text,", "image,", "audio"]
    assert "a note" in lines
    assert "Not shown here: summary, parts." in " ".join(lines)
    narrow = listing(30, LOADERS)
    assert max(map(len, narrow)) <= 30
    assert "modalities" in " ".join(narrow[-6:])


def test_of_few_rows_each_is_a_card_where_they_do_not_fit(listing):
    lines = listing(80, LOADERS[:2])
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line][1:3] == ["name", "─" * len(lines[2])]
    assert sum(line.startswith("parts") for line in lines) == 2
    assert "Not shown" not in " ".join(lines)
    assert "parts" in listing(200, LOADERS[:2])[1]


def test_an_empty_listing_has_no_head(listing):
    assert listing(80, []) == ["things", "a note"]
