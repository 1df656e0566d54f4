"""What other libraries say on the terminal while they are imported and build a model: nothing that a user could act
on (torchvision is not needed here, nor a faster kernel), and it stood between the lines of `nexus inspect`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_STATE = {"within": 0, "before": 0}


@contextmanager
def quiet() -> Iterator[None]:
    """No warning is logged; errors are. Threads may overlap: the last one out puts back what was before the first."""
    with _LOCK:
        if not _STATE["within"]:
            _STATE["before"] = logging.root.manager.disable
            logging.disable(max(logging.WARNING, _STATE["before"]))
        _STATE["within"] += 1
    try:
        yield
    finally:
        with _LOCK:
            _STATE["within"] -= 1
            if not _STATE["within"]:
                logging.disable(_STATE["before"])
