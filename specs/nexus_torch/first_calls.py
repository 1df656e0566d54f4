"""Imported before torch computes: functions of oneMKL that must not be called by two threads the first time.

torch hands unary functions of contiguous numbers to oneMKL's vector library, which looks for a function's kernel at its
first call. Where two threads make that call together, one of them may run the kernel of the lowest accuracy for its
share, once: cosines of rotary positions were off by 1.5e-4 in half of the tokens of a process's first forward, in one
of 1,500 processes on a loaded machine with the oneMKL 2024.2 of torch's wheels. The next call is right, so nothing
tells it afterwards. One number passes through each function here, in one thread, and every kernel is found.

Source: https://github.com/pytorch/pytorch/issues/188792; the functions are those of ATen/cpu/vml.h.
"""

from __future__ import annotations

import torch

FUNCTIONS = (
    "acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "log", "log10", "log2", "sin", "sqrt", "tan", "tanh",
    "trunc",
)  # fmt: skip
DTYPES = torch.float32, torch.float64


def find_kernels() -> None:
    """Calls each function once for each type; a few milliseconds the first time. In place and on Python's memory: how
    torch takes its own is decided at the first tensor that it makes, and by others."""
    with torch.no_grad():
        for dtype in DTYPES:
            one = torch.frombuffer(bytearray(dtype.itemsize), dtype=dtype)
            for name in FUNCTIONS:
                getattr(one.fill_(0.5), f"{name}_")()


find_kernels()
