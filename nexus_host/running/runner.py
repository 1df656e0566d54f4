"""The runner: units go to the executor as soon as their inputs are there; a failure stops only what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any

from nexus_specs import NexusError

from ..discovery import Plugins
from ..planning import Task
from ..planning.plan import TIMINGS, work
from ..showing.board import Board, UnitState
from ..store import Store, read_json, write_json
from ..store.artefacts import COPIES
from ..store.made import Made, of_unit
from ..store.progress import PAUSE, STOPPING, clear_progress
from ..store.publish import notes, publish
from . import worker
from .job import Outcome, job
from .order import fits, priorities

TICK = 0.2
"""Seconds between two looks at what the units do."""
_READY = ("cached", "done")


class Runner:
    """Runs a plan. `say` gets lines for the user, `shown` a look at the board several times a second, `stopped` tells
    whether the run was asked to end."""

    def __init__(
        self,
        board: Board,
        plugins: Plugins,
        executor: Executor,
        *,
        without: tuple[str, ...] = (),
        say: Callable[[str], None] = print,
        shown: Callable[[Board], None] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.board, self.plan, self.plugins, self.executor = board, board.plan, plugins, executor
        self.without, self.say, self.shown, self.stopped = without, say, shown, stopped
        self.store = Store(self.plan.run)
        self._order = priorities(self.plan)
        self._running: dict[Future[Outcome], Task] = {}

    def run(self) -> Mapping[str, UnitState]:
        """Runs what is not cached. Returns the state of every unit by name."""
        self._mend()
        self._publish_cached()
        while self._left() or self._running:
            self.board.phase = self._phase()
            if self.board.phase == "running":
                self._submit()
            elif self.board.phase == "stopping" and not self._running:
                break
            if not self._running and self.board.phase == "running":
                break
            self._wait()
        return {name: entry.state for name, entry in self.board.entries.items()}

    def _phase(self) -> str:
        run = self.plan.run
        if self.stopped():
            (run / STOPPING).touch()
            return "stopping"
        return "paused" if (run / PAUSE).exists() else "running"

    def _wait(self) -> None:
        if self._running:
            wait(self._running, timeout=TICK, return_when=FIRST_COMPLETED)
        else:
            time.sleep(TICK)
        self._progress()
        for future in [each for each in self._running if each.done()]:
            self._finished(self._running.pop(future), _outcome(future))
        self.board.write()
        self.shown(self.board)

    def _mend(self) -> None:
        """Sets damaged artefacts aside; one of which a copy is intact, kept or published, is brought back."""
        for task in self.plan.waiting:
            if task.damaged and not self._restored(task):
                kept = self.store.quarantine(task.unit)
                self.say(f"{task.unit.name}: {task.damaged}. Set aside as {kept}; it is made again.")

    def _restored(self, task: Task) -> bool:
        if self.store.bring_back(task.unit):
            self._brought_back(task, f"{COPIES}/")
            return True
        name = task.recipe.stage.publishes
        note = notes(self.plan.run).get(name)
        if not name or not note or note["fingerprint"] != task.unit.fingerprint:
            return False
        facts = {"files": note["files"], "facts": task.facts, "versions": self.plan.versions}
        if not self.store.restore(task.unit, facts, self.plan.run / name):
            return False
        self._brought_back(task, f"{name}/")
        return True

    def _brought_back(self, task: Task, place: str) -> None:
        self.board.entries[task.unit.name].state = "cached"
        folder = self.store.folder(task.unit)
        self.say(f"{task.unit.name}: {task.damaged}. Brought back to {folder} from the intact copy in {place}.")

    def _publish_cached(self) -> None:
        for entry in self.board.entries.values():
            if entry.state == "cached":
                self._publish(entry.task)

    def _left(self) -> list[Task]:
        """Tasks that wait and whose inputs are there or can still come."""
        entries = self.board.entries
        for entry in entries.values():
            lost = any(entries[unit.name].state in ("failed", "blocked") for unit in entry.task.inputs)
            if entry.state in ("waiting", "paused") and lost:
                entry.state = "blocked"
        return [entry.task for entry in entries.values() if entry.state in ("waiting", "paused")]

    def _submit(self) -> None:
        ready = [task for task in self._left() if all(self._state(unit.name) in _READY for unit in task.inputs)]
        for task in sorted(ready, key=lambda each: -self._order[each.unit.name]):
            if len(self._running) >= self.board.workers:
                return
            if fits(task, self._running.values(), self.plan):
                self._start(task)

    def _state(self, name: str) -> UnitState:
        return self.board.entries[name].state

    def _start(self, task: Task) -> None:
        unit, entry = task.unit, self.board.entries[task.unit.name]
        Made(self.plan.run).add(*of_unit(unit.stage, unit.subject, unit.fingerprint))
        clear_progress(self.plan.run, unit)
        entry.state, entry.started, entry.note = "running", time.monotonic(), {}
        self._running[self.executor.submit(worker.execute, job(task, self.plan, self.store, self.without))] = task
        self.plugins.notify("nexus_unit_started", unit=unit, run=self.plan.run)
        self.board.write(force=True)
        self.shown(self.board)

    def _progress(self) -> None:
        before = {task.unit.name: self.board.entries[task.unit.name].note for task in self._running.values()}
        self.board.poll()
        for task in self._running.values():
            note = self.board.entries[task.unit.name].note
            if note and note != before[task.unit.name]:
                self.plugins.notify("nexus_unit_progressed", unit=task.unit, run=self.plan.run, **note)

    def _finished(self, task: Task, outcome: Outcome) -> None:
        entry = self.board.entries[task.unit.name]
        states: Mapping[str, UnitState] = {"done": "done", "paused": "paused", "failed": "failed"}
        entry.seconds += outcome.seconds
        entry.state, entry.error = states[outcome.state], outcome.error
        if entry.state == "failed" and self.stopped() and not outcome.expected:
            entry.state = "paused"  # a signal to the whole group ended the worker as well
        if entry.state == "done":
            self._keep_time(task, entry.seconds)
            self._publish(task)
        if entry.state == "failed":
            self._say_failed(task, outcome)
        self.plugins.notify("nexus_unit_finished", unit=task.unit, run=self.plan.run, error=entry.error)
        self.board.write(force=True)

    def _say_failed(self, task: Task, outcome: Outcome) -> None:
        log = self.plan.run / worker.LOGS / f"{task.unit.stage}-{task.unit.subject}.log"
        more = "" if outcome.expected else f"\n  All that it printed: {log}"
        self.say(f"{task.unit.name} failed: {outcome.error}{more}")

    def _keep_time(self, task: Task, seconds: float) -> None:
        known: dict[str, Any] = read_json(self.plan.run / TIMINGS, {})
        about = {"fingerprint": task.unit.fingerprint, "work": work(task)}
        known[task.unit.name] = {"seconds": round(seconds, 3), **about}
        write_json(self.plan.run / TIMINGS, known, durable=False)

    def _publish(self, task: Task) -> None:
        if not task.recipe.stage.publishes:
            return
        entry = self.board.entries[task.unit.name]
        try:
            line = publish(self.store, task.unit, task.recipe.stage.publishes)
        except (NexusError, OSError) as error:
            entry.state, entry.error = "failed", str(error)
            line = f"{task.unit.name} could not be published: {error}"
        if line:
            self.say(line)


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the worker died, or the executor lost it
        reason = f"its worker ended without an answer ({type(error).__name__}: {error})"
        hint = "Most often the system ended it for want of memory: set run.workers to 1, or run.memory lower."
        return Outcome(state="failed", seconds=0.0, error=f"{reason}. {hint}", expected=False)
