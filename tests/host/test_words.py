"""Suggestions, lists, sizes."""

import pytest
from nexus_specs.sizes import size

from nexus_host.words import bytes_text, did_you_mean, listed


def test_suggestions_forgive_case():
    assert did_you_mean("PARQUET", ["Parquet"]) == " Did you mean 'Parquet'?"
    assert did_you_mean("xyz", ["Parquet"]) == ""


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


@pytest.mark.parametrize(("count", "text"), [(5, "5 B"), (1500, "1.5 KB"), (2e9, "2.0 GB"), (3e15, "3000.0 TB")])
def test_bytes(count, text):
    assert bytes_text(count) == text
