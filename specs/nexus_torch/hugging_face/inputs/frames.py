"""What convolutions over a sound make of each of its states."""

from __future__ import annotations

from torch import nn

CHANNELS = 2
"""Of a sound, at most: what convolutions begin with that are the first of a chain."""


def frames(module: nn.Module) -> int:
    """Values that convolutions over samples of a sound make at most for each state behind the last of them: channels,
    times what strides behind them divide by. 0 where none begins with a sound.

    >>> frames(nn.Sequential(nn.Conv1d(1, 512, 10, 5), nn.Conv1d(512, 512, 3, 2), nn.Conv1d(512, 256, 3, 2)))
    2048
    """
    widest, chain = 0, list[nn.Conv1d]()
    for each in module.modules():
        if not isinstance(each, nn.Conv1d):
            continue
        if each.in_channels <= CHANNELS:
            chain = [each]
        elif chain and each.in_channels == chain[-1].out_channels:
            chain.append(each)
        else:
            chain = []
        widest = max(widest, _widest(chain))
    return widest


def _widest(chain: list[nn.Conv1d]) -> int:
    most, together = 0, 1
    for each in reversed(chain):
        most = max(most, each.out_channels * together)
        together *= each.stride[0]
    return most if len(chain) > 1 else 0
