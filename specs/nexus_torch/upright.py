"""Pictures the right way up and in eight bits, for whoever reads them from files."""

from __future__ import annotations

from typing import Any

EIGHT, SIXTEEN = 255, 65535
"""White, in as many bits."""


def upright(picture: Any) -> Any:
    """A PIL image turned as its EXIF data say, where they can be read, as `datasets` and transformers turn it; one of
    16 bits in 8, since PIL's own conversion makes all that is above 255 white."""
    from PIL import ImageOps

    try:
        picture = ImageOps.exif_transpose(picture)
    except Exception:  # damaged notes about a picture; of a damaged picture itself its conversion tells
        return picture
    return _eight_bits(picture) if picture.mode.startswith("I") else picture


def _eight_bits(picture: Any) -> Any:
    """Of a grey picture of 16 bits; one that PIL holds in 32 ("I") only where a value needs more than eight."""
    import numpy as np
    from PIL import Image

    values = np.array(picture)
    if picture.mode == "I" and not (values.min() >= 0 and EIGHT < values.max() <= SIXTEEN):
        return picture
    return Image.fromarray((values * (EIGHT / SIXTEEN)).round().astype(np.uint8))
