"""Checks of executors: the standard protocol of `concurrent.futures`, with errors that arrive as they were raised."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, wait
from typing import Any

from ..work import NexusError
from .base import ComponentTests

SECONDS = 60


def square(number: int) -> int:
    """A function at the top of a module, so that another process can import it."""
    return number * number


def fail(message: str) -> None:
    """Fails like a unit that a user can mend."""
    raise NexusError(message)


def check_submit(executor: Executor) -> None:
    """A future with the result."""
    future = executor.submit(square, 7)
    assert isinstance(future, Future), (
        f"`submit` gave a {type(future).__name__}. Return a concurrent.futures.Future: the host waits for futures."
    )
    found = future.result(timeout=SECONDS)
    assert found == 49, f"The future of square(7) gave {found!r}. Call the function and set its result."


def check_keywords(executor: Executor) -> None:
    """Keyword arguments too."""
    try:
        found = executor.submit(square, number=3).result(timeout=SECONDS)
    except TypeError as error:
        raise AssertionError(f"`submit` lost keyword arguments: {error}. Take and pass on **kwargs.") from error
    assert found == 9, f"square(number=3) gave {found!r}. Pass keyword arguments on."


def check_error(executor: Executor) -> None:
    """An exception arrives in its future, as its own type, and stops nothing else."""
    try:
        failing = executor.submit(fail, "broken on purpose")
    except Exception as error:
        raise AssertionError(f"`submit` raised {type(error).__name__}. Put the error into the future.") from error
    wait([failing], timeout=SECONDS)
    assert failing.done(), "A future whose function raised is never done. Call `set_exception`."
    found = failing.exception(timeout=0)
    assert isinstance(found, NexusError) and str(found) == "broken on purpose", (
        f"The error arrived as {found!r}. Keep type and text: the host shows NexusError as advice, others as bugs."
    )
    assert executor.submit(square, 2).result(timeout=SECONDS) == 4, (
        "After one error the executor does no more work. Let one unit fail alone: the others go on."
    )


def check_many(executor: Executor) -> None:
    """Every result belongs to its own future."""
    futures = {number: executor.submit(square, number) for number in range(8)}
    wrong = [number for number, future in futures.items() if future.result(timeout=SECONDS) != number * number]
    assert not wrong, f"The futures of {wrong} have other results. Give each future the result of its own call."


def check_shutdown(make: Callable[[], Executor]) -> None:
    """It waits for what was given, and takes nothing after."""
    executor: Any = make()
    future = executor.submit(square, 5)
    executor.shutdown(wait=True)
    assert future.done(), "`shutdown(wait=True)` came back before the work was done. Wait for every future."
    try:
        executor.submit(square, 5)
    except RuntimeError:
        return
    raise AssertionError("`submit` after `shutdown` was accepted. Raise RuntimeError, as the standard executors do.")


def check_with(make: Callable[[], Executor]) -> None:
    """A `with` block ends with everything done."""
    with make() as executor:
        futures = [executor.submit(square, number) for number in range(3)]
    assert all(future.done() for future in futures), (
        "Leaving the `with` block left work undone. Let `__exit__` call `shutdown(wait=True)`."
    )


def check_cancel(make: Callable[[], Executor]) -> None:
    """What has not begun can be cancelled when the run is stopped."""
    executor = make()
    futures = [executor.submit(square, number) for number in range(4)]
    try:
        executor.shutdown(wait=True, cancel_futures=True)
    except TypeError as error:
        raise AssertionError(f"`shutdown` does not take cancel_futures: {error}. Take it: Ctrl-C needs it.") from error
    for future in futures:
        assert future.done(), "A future is neither done nor cancelled after shutdown(cancel_futures=True). Settle each."
        try:
            future.result(timeout=0)
        except CancelledError:
            continue


class ExecutorTests(ComponentTests):
    """An executor."""

    kind = "executor"

    def test_it_gives_futures(self) -> None:
        with self.component() as executor:
            check_submit(executor)
            check_keywords(executor)

    def test_errors_arrive_as_they_were(self) -> None:
        with self.component() as executor:
            check_error(executor)

    def test_results_are_not_mixed_up(self) -> None:
        with self.component() as executor:
            check_many(executor)

    def test_shutdown_waits_and_closes(self) -> None:
        check_shutdown(self.component)
        check_with(self.component)

    def test_pending_work_can_be_cancelled(self) -> None:
        check_cancel(self.component)
