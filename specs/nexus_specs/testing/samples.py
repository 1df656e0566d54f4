"""A sample from its fields, for tests of whatever takes samples."""

from __future__ import annotations

from typing import Any

from ..data import Sample, content_key


def sample(**fields: Any) -> Sample:
    """A sample whose key is its content, as a reader makes it.

    >>> sample(text="warm", label=1) == Sample(key=content_key({"text": "warm"}), fields={"text": "warm", "label": 1})
    True
    """
    return Sample(key=content_key(fields), fields=fields)
