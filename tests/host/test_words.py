"""Suggestions, lists, sizes."""

import os
import subprocess
import sys

import pytest
from nexus_specs.sizes import size

from nexus_host.__main__ import run
from nexus_host.showing.tables import console, print_table
from nexus_host.words import bytes_text, did_you_mean, listed, visible


def test_suggestions_forgive_case():
    assert did_you_mean("PARQUET", ["Parquet"]) == " Did you mean 'Parquet'?"
    assert did_you_mean("xyz", ["Parquet"]) == ""


HOSTILE = "\x1b]0;PWNED\x07\x1b[2J\r\x9b2J\u202etxt\udcff"


def test_what_would_steer_a_terminal_is_spelt_out():
    assert visible(HOSTILE) == r"\x1b]0;PWNED\x07\x1b[2J\r\x9b2J\u202etxt\udcff"
    assert visible("two\nlines\tof Zürich 東京 😀") == "two\nlines\tof Zürich 東京 😀"


def test_tables_and_errors_show_what_a_stranger_wrote_and_do_nothing_it_asks(capsys, site):
    rows = [[f"{HOSTILE}\nError: faked"]]
    print_table({"title": HOSTILE, "columns": [HOSTILE], "rows": rows, "notes": [HOSTILE]}, console())
    assert run(["inspect", f"./{HOSTILE[:-1]}"]) == 1
    found = capsys.readouterr()
    for text in found:
        assert visible(text) == text
        assert "PWNED" in text
    assert not any(line.startswith("Error: faked") for line in found.out.splitlines())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_cannot_be_encoded_is_no_fault(encoding, tmp_path):
    """A name on the disk that is no text, and a terminal that knows few signs."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for command in ([os.fsencode("show"), b"\xff\xfe"], ["inspect", "./Zürich"], ["list", "losses"]):
        done = subprocess.run(
            [sys.executable, "-m", "nexus_host", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 1, 2)
        assert b"Traceback" not in done.stderr
        assert b"fault of Nexus" not in done.stderr


def test_lists():
    assert (listed([1, "b"]), listed([])) == ("1, b", "none")


@pytest.mark.parametrize(
    ("text", "count"), [("8GB", 8 * 10**9), ("1.5 KiB", 1536), (7, 7), ("2m", 2 * 10**6), ("3 B", 3)]
)
def test_sizes(text, count):
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "x", "8 XB", "-1"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="is no size"):
        size(text)


@pytest.mark.parametrize("text", ["0", "0 GB", "9" * 30, "9" * 5000])
def test_sizes_of_nothing_and_of_more_than_there_is(text):
    with pytest.raises(ValueError, match=r"is nothing|more than any machine has"):
        size(text)


@pytest.mark.parametrize(("count", "text"), [(5, "5 B"), (1500, "1.5 KB"), (2e9, "2.0 GB"), (3e15, "3000.0 TB")])
def test_bytes(count, text):
    assert bytes_text(count) == text
