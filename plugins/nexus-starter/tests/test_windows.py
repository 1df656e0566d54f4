"""Cutting text into windows."""

from __future__ import annotations

import pytest
from nexus_starter.snapshot.windows import windows

LINES = ["", "a\n", "line\n" * 500, "no line ends " * 300, "é" * 3000, "x" * 1023 + "é\n" + "y" * 50]


@pytest.mark.parametrize("text", LINES)
def test_windows_join_to_the_text(text: str) -> None:
    cut = list(windows(text))
    assert "".join(cut) == text
    assert all(0 < len(window.encode()) <= 1024 for window in cut)


def test_a_window_ends_with_a_line_where_one_ends() -> None:
    cut = list(windows("some words\n" * 300))
    assert len(cut) > 1
    assert all(window.endswith("\n") for window in cut)
