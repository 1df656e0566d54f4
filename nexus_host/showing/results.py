"""What a run prints at its end: the tables of what it published, or how far it came."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from ..planning import Task
from ..store import Store
from .board import Board
from .tables import print_table, table_of
from .text import duration


def print_results(board: Board, target: str, out: Console) -> None:
    """Prints the tables that matter and a last line."""
    store = Store(board.plan.run)
    for task in _telling(board, target):
        table = table_of(store.folder(task.unit))
        if table:
            print_table(table, out)
    print_end(board, out)


def _telling(board: Board, target: str) -> Iterator[Task]:
    """The units whose tables are shown: of the stage that was asked for, else those that publish; where one of these
    did not get done, what it would have read."""
    tasks = {task.unit.name: task for task in board.plan.tasks}
    wanted = [
        task for task in tasks.values() if task.unit.stage == target or (not target and task.recipe.stage.publishes)
    ]
    shown: dict[str, Task] = {}
    for task in wanted:
        if board.entries[task.unit.name].state in ("cached", "done"):
            shown[task.unit.name] = task
        else:
            shown |= {
                unit.name: tasks[unit.name] for unit in task.inputs if tasks[unit.name].recipe.stage.scope == "student"
            }
    yield from shown.values()


def print_end(board: Board, out: Console) -> None:
    """The last line: what happened to the units, and where the result is."""
    states = [entry.state for entry in board.entries.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    out.print(
        f"{board.phase}: {counts} in {duration(board.snapshot()['elapsed'])}. {board.plan.run}",
        markup=False,
        soft_wrap=True,
    )
    for name, entry in board.entries.items():
        if entry.error:  # the rest of it was said when it happened
            out.print(f"{name}: {entry.error.splitlines()[0]}", markup=False, soft_wrap=True)
    if board.phase == "interrupted":
        out.print("The same command goes on from here; finished units are kept.", markup=False, soft_wrap=True)
    for task in board.plan.tasks:
        name = task.recipe.stage.publishes
        if name and board.entries[task.unit.name].state in ("cached", "done"):
            out.print(f"{name}: {board.plan.run / name}", markup=False, soft_wrap=True)
