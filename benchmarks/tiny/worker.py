"""Rows made in a process of their own, ended where one takes too long: a model that hangs or dies costs its row."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil

from .drawn import PLAIN, Drawn
from .table import OURS, THEIRS, empty

LIMIT, PATIENCE, LIVES = 300.0, 1800.0, 80
"""Seconds of its processor for the rows of one type, and of waiting on a machine that does other things; types until a
worker is replaced, since each leaves its modules in memory."""

Rows = list[dict[str, Any]]


def rows(model_types: Sequence[str], limit: float = LIMIT, drawn: Drawn = PLAIN) -> Iterator[Rows]:
    """The rows of each of these types, in order."""
    worker: Worker | None = None
    for model_type in model_types:
        if worker is None or worker.done >= LIVES:
            if worker:
                worker.end()
            worker = Worker(drawn)
        found = worker.ask(model_type, limit)
        if isinstance(found, str):
            worker.end()
            worker = None
            found = [empty(model_type, "") | {"whose": OURS, "reason": found}]
        yield found
    if worker:
        worker.end()


class Worker:
    """One process that makes rows."""

    def __init__(self, drawn: Drawn) -> None:
        context = multiprocessing.get_context("spawn")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, drawn), daemon=True)
        self.process.start()
        theirs.close()
        self.done = 0

    def ask(self, model_type: str, limit: float) -> Rows | str:
        """The rows, or why there are none."""
        self.done += 1
        self.ours.send(model_type)
        began, spent = time.monotonic(), self._spent()
        while not self.ours.poll(1):
            if self._spent() - spent > limit or time.monotonic() - began > PATIENCE:
                return f"stopped after {self._spent() - spent:.0f} s"
        try:
            found: Rows = self.ours.recv()
        except EOFError:
            self.process.join()
            return f"its process ended with {self.process.exitcode}"
        return found

    def _spent(self) -> float:
        """Seconds of the processor that the worker has taken."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0                                      # what it left in the pipe says so
        return float(times.user + times.system)

    def end(self) -> None:
        """The process is over when this returns."""
        self.process.kill()
        self.process.join()
        self.ours.close()


def _serve(connection: Any, drawn: Drawn) -> None:
    import warnings

    import torch
    import transformers

    from .checkpoint import heads
    from .rows import row

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    while True:
        try:
            model_type = connection.recv()
        except EOFError:
            return
        found = [row(model_type, head, drawn) for head in heads(model_type)]
        none = "build: transformers exports no class that such a configuration builds"
        connection.send(found or [empty(model_type, "") | {"whose": THEIRS, "reason": none}])
