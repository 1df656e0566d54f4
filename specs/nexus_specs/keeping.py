"""What code of one plugin may change of a process for all others, put back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def unchanged() -> Iterator[None]:
    """When it ends, the working folder and torch's modes are as before: gradients, default type, threads, choice of
    algorithms, random state. A plugin that changes them as it is imported would change the results of whatever comes
    after it in the same process, and what comes after it is chance. Imports nothing.
    """
    folder, before = _folder(), _modes()
    try:
        yield
    finally:
        with suppress(OSError):                             # it was removed meanwhile
            if folder is not None:
                os.chdir(folder)
        if torch := sys.modules.get("torch"):
            _put_back(torch, before)


def _folder() -> Path | None:
    """The working folder; None where it is gone."""
    with suppress(OSError):
        return Path.cwd()
    return None


def _modes() -> dict[str, Any]:
    """Torch's modes now; {} where nobody has imported it yet."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_rng_state"):
        return {}
    return {
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state(),
    }


def _put_back(torch: Any, before: dict[str, Any]) -> None:
    """What torch was imported with stands for what was not known before."""
    now = _modes()
    if now.get("grad") != (grad := before.get("grad", True)):
        torch.set_grad_enabled(grad)
    if now.get("dtype") != (dtype := before.get("dtype", torch.float32)):
        torch.set_default_dtype(dtype)
    if now.get("algorithms") != (algorithms := before.get("algorithms", False)):
        torch.use_deterministic_algorithms(algorithms)
    if before and now["threads"] != before["threads"]:
        torch.set_num_threads(before["threads"])
    if before and not torch.equal(now["random"], before["random"]):
        torch.set_rng_state(before["random"])
