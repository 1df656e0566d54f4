"""Small words: durations, counts, figures."""

from __future__ import annotations

from collections.abc import Mapping


def duration(seconds: float | None) -> str:
    """Seconds for people.

    >>> duration(75.2), duration(3.14), duration(None)
    ('1:15', '3.1 s', '?')
    """
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figures(values: Mapping[str, float]) -> str:
    """Figures of a unit's progress.

    >>> figures({"loss": 1.23456})
    'loss 1.235'
    """
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def steps(done: int | None, total: int | None) -> str:
    """How far: "120/400", or nothing before the first report."""
    return "" if done is None else f"{done}/{total}" if total else str(done)
