"""Pictures as they come from files."""

import numpy as np
import pytest
from nexus_torch.upright import upright
from PIL import Image


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bits_are_scaled_and_not_clipped(dtype: type) -> None:
    picture = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype))
    assert np.array(upright(picture).convert("RGB"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_eight_bits_stay() -> None:
    grey = np.array([[0, 7, 255]], np.uint8)
    assert np.array(upright(Image.fromarray(grey)).convert("RGB"))[0, :, 0].tolist() == [0, 7, 255]
    small = Image.fromarray(grey.astype(np.int32))
    assert np.array(upright(small).convert("RGB"))[0, :, 0].tolist() == [0, 7, 255]
