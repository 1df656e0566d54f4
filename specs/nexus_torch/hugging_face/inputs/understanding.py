"""Whatever a processor raises of a sample is the sample's: said in words, with what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Sample

from ..configuration.reading import said
from .fields import PICTURES, TOKENIZER, check_fields

SHOWN = 6
"""Fields that are named."""


@contextmanager
def understood(samples: Sequence[Sample], home: Path) -> Iterator[None]:
    """NexusError for any exception of what makes tensors of these samples; `home`: the checkpoint's, whose
    files may be to blame."""
    try:
        yield
    except NexusError:
        raise
    except Exception as error:                              # of a library, of what it was not made for
        check_fields(home, *PICTURES, *TOKENIZER)
        first = samples[0] if samples else Sample(key="", fields={})
        held = ", ".join(f"{field} ({_kind(value)})" for field, value in list(first.fields.items())[:SHOWN])
        more = f" and {len(samples) - 1} more" if len(samples) > 1 else ""
        raise NexusError(
            f"'{home.name}' makes nothing of the sample '{first.key}'{more}: {said(error)}. It holds: "
            f"{held or 'nothing'}. What it takes is shown by nexus inspect; columns are mapped in "
            "data.NAME.options.columns."
        ) from error


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{getattr(value, 'dtype', '')} {list(shape)}".strip()
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__
