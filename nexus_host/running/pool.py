"""The default executor: long-lived worker processes, so that heavy libraries are imported once in each.

Each is an executor of one process, so that a worker which dies (killed for memory, say) costs its own unit alone and
is known by it, and the others go on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from ..store.workers import forget
from . import worker
from .signals import CAUGHT

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SETTINGS = {"TOKENIZERS_PARALLELISM": "false", "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "PYTHONHASHSEED": "0"}


@dataclass
class _Slot:
    pool: ProcessPoolExecutor
    pending: list[Future[Any]] = field(default_factory=list)

    @property
    def load(self) -> int:
        self.pending = [each for each in self.pending if not each.done()]
        return len(self.pending)


class Workers(Executor):
    """`concurrent.futures.Executor` over processes that are started when they are first needed."""

    def __init__(self, run: Path, count: int, threads: int = 1) -> None:
        self.run, self.threads = run, threads
        self._slots = [_Slot(self._pool()) for _ in range(count)]

    def _pool(self) -> ProcessPoolExecutor:
        start = (str(self.run), os.getpid())
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=worker.start, initargs=start)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Gives the call to the worker with the least to do."""
        slot = min(self._slots, key=lambda each: each.load)
        with _environment(self.threads), _held():
            try:
                future = slot.pool.submit(call, *arguments, **named)
            except BrokenProcessPool:
                slot.pool = self._pool()
                future = slot.pool.submit(call, *arguments, **named)
        slot.pending.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers when they have finished."""
        for slot in self._slots:
            slot.pool.shutdown(wait, cancel_futures=cancel_futures)
        forget(self.run)

    def kill(self) -> None:
        """Ends the workers now. What they were making is made again by the next run."""
        for child in active_children():
            child.kill()


@contextmanager
def _held() -> Iterator[None]:
    """What a terminal or a scheduler sends to the whole group waits; a process that is started meanwhile inherits that,
    and its first act (`worker.start`) is to ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Environment variables that must be there before a worker imports anything."""
    wanted = {name: str(threads) for name in _THREADS} | _SETTINGS
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
