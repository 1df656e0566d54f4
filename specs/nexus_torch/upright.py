"""Pictures the right way up, for whoever reads them from files."""

from __future__ import annotations

from typing import Any


def upright(picture: Any) -> Any:
    """A PIL image turned as its EXIF data say, where they can be read, as `datasets` and transformers turn it."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged notes about a picture; of a damaged picture itself its conversion tells
        return picture
