"""Arguments of samples in the form in which a pipeline's call takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .conditions import takes_one


def natural(pipeline: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """uint8 pictures as Pillow's, films as lists of those; one is no list, which some refuse, or take for several
    pictures of one prompt; nor is the one prompt of a call that takes no list of them."""
    found = {name: _natural(value) for name, value in given.items()}
    words = found.get("prompt")
    if isinstance(words, list) and len(words) == 1 and takes_one(type(pipeline)):
        found["prompt"] = words[0]
    return found


def _natural(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.uint8:
        return _picture(value[0]) if len(value) == 1 else [_picture(each) for each in value]
    return value


def _picture(value: Tensor) -> Any:
    from PIL import Image

    if value.ndim > 3:                                      # a film
        return [_picture(each) for each in value]
    return Image.fromarray(value.cpu().numpy())
