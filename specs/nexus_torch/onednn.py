"""What oneDNN, with which torch computes on a processor, can do on this one."""

from __future__ import annotations

from functools import cache

import torch


@cache
def halves() -> bool:
    """Whether it computes with sixteen bits; else torch does so itself."""
    told = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return told is None or bool(told())
