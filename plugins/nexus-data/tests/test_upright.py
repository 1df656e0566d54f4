"""Pictures whose camera was held otherwise come the right way up, as other tools show them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from nexus_data import decode
from PIL import Image

ORIENTATION = 0x0112
TURNED = {1: lambda a: a, 3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a, -1), 8: np.rot90, 2: np.fliplr}


def stored(orientation: int, kind: str) -> tuple[bytes, np.ndarray]:
    """A file whose notes say how it was held, and its pixels as they lie in it."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0], pixels[1, 2] = (255, 0, 0), (0, 0, 255)
    out, notes = BytesIO(), Image.Exif()
    notes[ORIENTATION] = orientation
    Image.fromarray(pixels).save(out, kind, exif=notes)
    return out.getvalue(), pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_comes_the_right_way_up(orientation: int, kind: str) -> None:
    file, pixels = stored(orientation, kind)
    assert np.array_equal(decode.image(file), TURNED[orientation](pixels))


def test_damaged_notes_leave_the_picture_as_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise TypeError("no notes")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", damaged)
    file, pixels = stored(6, "PNG")
    assert np.array_equal(decode.image(file), pixels)
