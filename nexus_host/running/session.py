"""A run from its lock to its last line: `nexus run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nexus_specs import NexusError

from ..discovery import Plugins
from ..planning.announced import adopt, forget
from ..planning.resources import check_disk, side_by_side, threads, workers
from ..planning.settling import PINS
from ..registry import Registry
from ..registry.trust import allow
from ..showing.board import Board
from ..showing.live import LiveView
from ..showing.plain import PlainView
from ..showing.plan_view import moved
from ..showing.tables import console
from ..showing.text import duration
from ..store import Lock, Store, sweep
from ..store.artefacts import COPIES
from ..store.lock import STATUS
from ..store.made import FOLDERS, MANIFEST, Made
from ..store.progress import STOPPING
from ..store.workers import end_orphans
from ..words import visible
from .noting import PLUGINS, REGISTRY, keep_notes
from .pool import Workers
from .preparing import prepare
from .pruning import prune
from .runner import Runner
from .signals import Interrupted, Stop

_FILES = (STATUS, STOPPING, REGISTRY, PLUGINS, PINS, MANIFEST, "timings.json", "machine.json", "published.json")
_STDERR, _SHOW_CURSOR = 2, b"\x1b[?25h\n"
_PATTERNS = ("workers/*.json", "logs/worker-*.log", f"{COPIES}/{PINS}")


class View(Protocol):
    """What shows a run."""

    def show(self, snapshot: dict[str, Any]) -> None:
        """Shows a snapshot of the board."""

    def say(self, line: str) -> None:
        """Shows a line for the user."""

    def close(self) -> None:
        """Puts the terminal back as it was."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `nexus run` was asked for."""

    registry: Registry
    plugins: Plugins
    run: Path
    without: tuple[str, ...] = ()
    target: str = ""
    samples: int = 0
    reset: bool = False
    take_over: bool = False
    prune: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of it."""

    code: int
    board: Board


def perform(request: Request) -> Result:
    """Runs a plan under the lock of its directory. Raises Busy and NexusError; a unit that fails is no exception but
    exit code 1, a signal its own code (130, 143)."""
    view, first = _view(), not request.run.exists()
    allow(request.registry.teachers.values())
    try:
        with Lock(request.run, take_over=request.take_over) as lock:
            _tidy(request, view)
            lock.note("planning")
            with _executor(request) as executor, Stop(lambda: _at_once(executor, stop)) as stop:
                return _run(request, lock, view, executor, stop)
    except NexusError:
        if first:
            _leave(request.run)
        raise
    finally:
        view.close()


def _leave(run: Path) -> None:
    """Removes a run directory that was made for what was then refused."""
    if not Store(run).every():
        Made(run).remove()
        with suppress(OSError):
            run.rmdir()


def _view() -> View:
    out = console(stderr=True)
    if out.is_terminal:
        return LiveView(out)
    return PlainView(lambda line: print(visible(line), file=sys.stderr, flush=True))


def _tidy(request: Request, view: View) -> None:
    """Ends what a dead run left behind, and removes what it was in the middle of writing."""
    run = request.run
    for pid in end_orphans(run):
        view.say(f"Ended process {pid}, a worker that an earlier run had left behind.")
    sweep(run, FOLDERS)
    if request.reset:
        reset(run, view)
        forget(run)
    adopt(run)
    Made(run).add(*_FILES, *_PATTERNS)
    for path in run.glob(_PATTERNS[1]):
        path.unlink()
    for name in (STOPPING, STATUS):
        (run / name).unlink(missing_ok=True)


def reset(run: Path, view: View) -> None:
    """Removes what earlier runs made in a directory, after saying what."""
    made = Made(run)
    present = made.present()
    view.say(f"Removing {len(present)} files and folders that earlier runs made in {run}:")
    for path in present:
        view.say(f"  {path.relative_to(run)}")
    left = made.remove()
    if left:
        view.say(f"Kept {len(left)} that no run made, such as {left[0].relative_to(run)}.")


@contextmanager
def _executor(request: Request) -> Iterator[Executor]:
    """The executor that the registry names, else worker processes of our own."""
    named = request.registry.choices("executor", "student", "student")
    if named:
        executor = request.plugins.make("executor", named[0].name, **named[0].options)
    else:
        executor = Workers(request.run, workers(request.registry), threads(request.registry))
    with executor:
        yield executor


def _at_once(executor: Executor, stop: Stop) -> None:
    """The second Ctrl-C: nothing is waited for, no lock of the view's either. What was finished is safe, the rest is
    made again."""
    if isinstance(executor, Workers):
        executor.kill()
    if os.isatty(_STDERR):
        os.write(_STDERR, _SHOW_CURSOR)
    os._exit(stop.code)


@contextmanager
def _unsaved(executor: Executor, stop: Stop) -> Iterator[None]:
    """A time in which nothing runs that could save its state. Raises Interrupted at the first signal."""
    stop.saves = False
    try:
        yield
    except BaseException as error:
        if not stop.number:
            raise
        if isinstance(executor, Workers):
            executor.kill()
        raise Interrupted(stop.code) from error
    finally:
        stop.saves = True


def _run(request: Request, lock: Lock, view: View, executor: Executor, stop: Stop) -> Result:
    with _unsaved(executor, stop):
        board = _board(request, executor, view.say)
    runner = Runner(
        board,
        request.plugins,
        executor,
        without=request.without,
        say=view.say,
        shown=lambda board: view.show(board.snapshot()),
        stopped=lambda: stop.number != 0,
    )
    lock.note("running")
    try:
        states = set(runner.run().values())
    except BaseException:
        (request.run / STOPPING).touch()  # what runs would keep the executor, and with it this process, alive
        raise
    finished = states <= {"cached", "done"}
    board.phase = "done" if finished else "interrupted" if stop.number else "failed"
    board.write(force=True)
    view.show(board.snapshot())
    (request.run / STOPPING).unlink(missing_ok=True)
    if finished and request.prune:
        view.say(prune(board.plan))
    return Result(code=0 if finished else stop.code if stop.number else 1, board=board)


def _board(request: Request, executor: Executor, say: Callable[[str], None]) -> Board:
    registry = request.registry
    prepared = prepare(
        registry,
        request.plugins,
        request.run,
        executor,
        without=request.without,
        target=request.target,
        samples=request.samples,
    )
    plan = prepared.plan
    check_disk(plan, workers(registry))
    keep_notes(request.run, registry, plan, prepared.pins)
    forget(request.run)
    board = Board(plan, side_by_side(registry, prepared.machine), prepared.machine)
    left = f" About {duration(board.left())}." if board.left() else ""
    say(f"{len(plan.waiting)} units to run, {len(plan.tasks) - len(plan.waiting)} cached.{left}")
    for line in moved(plan):
        say(line)
    return board
