"""A good executor, and broken ones that the kit rejects with advice."""

from concurrent.futures import Executor, Future

import pytest
from nexus_specs.testing import ExecutorTests


class Good(Executor):
    """Does the work at once, in this thread."""

    closed = False

    def submit(self, fn, /, *args, **kwargs):
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        self.work(future, fn, args, kwargs)
        return future

    def work(self, future, fn, args, kwargs):
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.closed = True


class ReturnsResult(Good):
    def submit(self, fn, /, *args, **kwargs):
        return super().submit(fn, *args, **kwargs).result()


class ReturnsFunction(Good):
    def work(self, future, fn, args, kwargs):
        future.set_result(fn)


class NoKeywords(Good):
    def submit(self, fn, /, *args):
        return super().submit(fn, *args)


class RaisesAtOnce(Good):
    def submit(self, fn, /, *args, **kwargs):
        future = super().submit(fn, *args, **kwargs)
        future.result()
        return future


class WrapsErrors(Good):
    def work(self, future, fn, args, kwargs):
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(RuntimeError(f"worker failed: {error}"))


class StopsAfterError(Good):
    broken = False

    def work(self, future, fn, args, kwargs):
        super().work(future, fn, args, kwargs)
        if self.broken:
            future._result = None
        self.broken = self.broken or future.exception() is not None


class FirstResult(Good):
    first = None

    def work(self, future, fn, args, kwargs):
        super().work(future, fn, args, kwargs)
        if self.first is None:
            self.first = future
        elif future.exception() is None:
            future._result = self.first._result


class NeverWaits(Good):
    def work(self, future, fn, args, kwargs):
        if args != (5,):
            super().work(future, fn, args, kwargs)


class OpenForEver(Good):
    def shutdown(self, wait=True, *, cancel_futures=False):
        pass


class CannotCancel(Good):
    def shutdown(self, wait=True):
        self.closed = True


class LeavesPending(Good):
    def work(self, future, fn, args, kwargs):
        if args != (2,):
            super().work(future, fn, args, kwargs)


BROKEN = [
    (ReturnsResult, "Return a concurrent.futures.Future"),
    (ReturnsFunction, "Call the function and set its result"),
    (NoKeywords, "Take and pass on **kwargs"),
    (RaisesAtOnce, "Put the error into the future"),
    (WrapsErrors, "Keep type and text"),
    (StopsAfterError, "Let one unit fail alone"),
    (FirstResult, "Give each future the result of its own call"),
    (NeverWaits, "Wait for every future"),
    (OpenForEver, "Raise RuntimeError, as the standard executors do"),
    (CannotCancel, "Take it: Ctrl-C needs it"),
]


def test_good_executor_is_accepted(suite, accepted):
    accepted(suite(ExecutorTests, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_executor_is_rejected(component, advice, suite, rejected, monkeypatch):
    monkeypatch.setattr("nexus_specs.testing.executor.SECONDS", 0.01)
    rejected(suite(ExecutorTests, component), advice)


def test_work_left_pending_is_rejected(suite, rejected, monkeypatch):
    monkeypatch.setattr("nexus_specs.testing.executor.SECONDS", 0.01)
    rejected(suite(ExecutorTests, LeavesPending), "Settle each")
