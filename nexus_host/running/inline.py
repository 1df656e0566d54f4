"""An executor that answers at once in this process: for a command that has imported heavy libraries already, a worker
would import all of them again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from . import worker


@contextmanager
def _to_the_log() -> Iterator[None]:
    """Prints where the process itself does, also where somebody put another file in the place of sys.stdout."""
    with redirect_stdout(sys.__stdout__), redirect_stderr(sys.__stderr__):
        yield


class Inline(Executor):
    """`concurrent.futures.Executor` without a process of its own. What calls print goes to a file, as a worker's does;
    Ctrl-C ends the command in the midst of a call."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        worker.forget()  # what was found here before is another command's

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """A future that is done."""
        future: Future[Any] = Future()
        try:
            with worker.log(self.notes, "inline"), _to_the_log():
                future.set_result(call(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing is under way; what was found is forgotten."""
        worker.forget()
