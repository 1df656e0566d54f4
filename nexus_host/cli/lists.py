"""`nexus list KIND`: what is installed, and what the registry names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nexus_specs import KINDS, MetricComponent, NexusError, StageComponent, TowerComponent

from ..discovery import Plugins
from ..showing.listing import print_listing
from ..showing.tables import console
from ..words import did_you_mean, listed
from .app import COMMANDS, State
from .catalogues import architectures
from .data_rows import BLANK, own_row
from .filtering import filtered
from .output import emit_json, json_option

if TYPE_CHECKING:
    from ..registry import TeacherCard

Row = dict[str, Any]
HIDDEN: Mapping[str, Sequence[str]] = {
    "architectures": ("generates", "reason", "sort", "summary"),
    "datasets": ("dataset", "config", "bytes", "classes", "gated", "reader", "options"),
}
"""Columns that are for --json alone: a table of hundreds of rows has room for few."""
FIRST: Mapping[str, Sequence[str]] = {
    "architectures": ("name", "loader", "streams", "modalities", "gguf", "heads"),
    "datasets": ("name", "tags", "summary", "size"),
    "plugins": ("name", "state", "version", "reason", "offers"),
    "teachers": ("name", "status", "modality", "parameters", "capability", "metric", "tower"),
}
"""Columns that stand first: a terminal may have no room for the others."""
MOST = 6
"""Entries of a list that a table shows."""
TEACHER = ("name", "status", "capability", "metric", "better", "share", "tower", "component", "installed", "modality",
           "parameters", "tier", "data", "datasets", "aliases", "source", "licence", "summary")  # fmt: skip


@dataclass
class Request:
    """What a listing may need."""

    plugins: Plugins
    registry: Path | None


def plural(kind: str) -> str:
    """The word for several of a kind.

    >>> plural("loss"), plural("registry"), plural("tower")
    ('losses', 'registries', 'towers')
    """
    return kind + "es" if kind.endswith("s") else kind[:-1] + "ies" if kind.endswith("y") else kind + "s"


class UnknownKindError(NexusError):
    """A listing that there is not."""

    exit_code = 2


@click.command("list")
@click.argument("kind", default="plugins", shell_complete=lambda *given: _begun(given[-1]))
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--modality", help="Only what takes or is of it: text, image, audio, video")
@click.option("--loader", help="Architectures: only of this loader")
@click.option("--tag", help="Data sets: only with this tag, such as reasoning, code, speech, benchmark")
@click.option("--registry", type=click.Path(path_type=Path), help="Registry file [default: ./registry.yaml]")
@json_option
@click.pass_obj
def command(
    state: State, *, kind: str, words: tuple[str, ...], modality: str | None, loader: str | None, tag: str | None,
    registry: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """List what is on offer: plugins (default), teachers, datasets, architectures, engines, readers, metrics,
    profilers, losses, towers, students, stages, commands, executors, registries.

    A WORD keeps the rows whose name, alias, tag or class holds it (where none does, those that say it anywhere, as
    `wer` does of word_error_rate); `all` keeps every row.
    """
    name = _kind(kind)
    every = LISTINGS[name](Request(state.plugins, registry))
    rows = filtered(every, words, modality=modality, loader=loader, tag=tag)
    if as_json:
        emit_json(rows)
        return 0
    known = [*FIRST.get(name, ()), *dict.fromkeys(key for row in rows for key in row)]
    columns = [each for each in dict.fromkeys(known) if each not in HIDDEN.get(name, ())]
    notes = [] if rows else [_nothing(name, every, words)]
    cells = [[_cell(row.get(key)) for key in columns] for row in rows]
    print_listing(columns, cells, console(), title=name, notes=notes)
    return 0


def _nothing(name: str, every: Sequence[Row], words: Sequence[str]) -> str:
    """Why a table is empty, with what may have been meant."""
    if not every or not words:
        return f"There are no {name}{' like this' if every else ''}."
    hint = did_you_mean(words[0], [str(row.get("name")) for row in every])
    return f"None of the {len(every)} {name} has '{listed(words)}' in its name, nor says it anywhere.{hint}"


def _begun(typed: str) -> list[str]:
    """What a shell completes a kind to."""
    return [name for name in sorted(LISTINGS) if name.startswith(typed)]


def _kind(word: str) -> str:
    known = {single: plural(single) for single in (*KINDS, "plugin", "teacher")}
    name = known.get(word.lower(), word.lower())
    if name not in LISTINGS:
        hint = did_you_mean(name, LISTINGS)
        raise UnknownKindError(f"There is no list of '{word}'.{hint} Lists: {listed(sorted(LISTINGS))}.")
    return name


def _cell(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return listed(value) if len(value) <= MOST else f"{listed(value[:MOST])}, and {len(value) - MOST} more"


def _plugins(request: Request) -> list[Row]:
    return [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "offers": [f"{kind} {component.name}" for kind, component in plugin.components],
            "reason": plugin.reason,
        }
        for plugin in request.plugins.found.values()
    ]


def _components(kind: str) -> Callable[[Request], list[Row]]:
    def rows(request: Request) -> list[Row]:
        plugins = request.plugins
        found = [
            {"name": name, "summary": component.summary}
            | _more(component)
            | {"plugin": plugins.provider(kind, name).plugin, "version": plugins.provider(kind, name).version}
            for name, component in plugins.components(kind).items()
        ]
        return [_called(row, kind) for row in found] + [
            {"name": name, "summary": f"NOT USED: two plugins offer it: {owners}"}
            for name, owners in plugins.doubles(kind).items()
        ]

    return rows


def _called(row: Row, kind: str) -> Row:
    """A row; of a command that Nexus has itself, with what becomes of it."""
    own = kind == "command" and row["name"] in COMMANDS
    return row | {"summary": "NOT USED: Nexus has a command of this name"} if own else row


def _more(component: Any) -> Row:
    """What a kind's descriptor says beyond the common fields."""
    if isinstance(component, TowerComponent):
        return {"takes": component.takes, "gives": component.gives, "metric": component.metric}
    if isinstance(component, StageComponent):
        return {"scope": component.scope, "needs": component.needs}
    if isinstance(component, MetricComponent):
        return {"better": "higher" if component.higher_is_better else "lower"}
    fields = {"suffixes": "reads", "records": "records"}
    return {word: getattr(component, field) for field, word in fields.items() if hasattr(component, field)}


def _teachers(request: Request) -> list[Row]:
    from ..registry import Registry

    registry = Registry.load(request.registry, request.plugins, strict=False)
    rows = []
    for name, card in registry.model.teachers.items():
        tower = registry.model.towers.get(card.tower)
        found = {"name": name} | _judged(request.plugins, card, tower.component if tower else "")
        written = registry.card("teacher", name)
        rows.append({column: found.get(column, written.get(column)) for column in TEACHER})
    return rows


def _judged(plugins: Plugins, card: TeacherCard, component: str) -> Row:
    """The component of a teacher's tower, whether a plugin brings it (a card may name one that is still to come), and
    the metric, by default the tower's, with the way that is better."""
    tower = plugins.components("tower").get(component)
    name = card.metric.name if card.metric else tower.metric if isinstance(tower, TowerComponent) else ""
    metric = plugins.components("metric").get(name)
    return {"component": component, "installed": tower is not None, "metric": name} | (_more(metric) if metric else {})


def _datasets(request: Request) -> list[Row]:
    from ..registry import Registry, RegistryError

    rows = request.plugins.catalogue("dataset")
    try:
        data = Registry.load(request.registry, request.plugins, strict=False).model.data
    except RegistryError:
        if request.registry is not None:
            raise
        return [BLANK | row for row in rows]
    own = [own_row(name, card) for name, card in data.items()]
    taken = {row["name"] for row in own}
    return [BLANK | row for row in own + [row for row in rows if row.get("name") not in taken]]


def _architectures(request: Request) -> list[Row]:
    return architectures(request.plugins)


LISTINGS: Mapping[str, Callable[[Request], list[Row]]] = {plural(kind): _components(kind) for kind in KINDS} | {
    "plugins": _plugins,
    "teachers": _teachers,
    "datasets": _datasets,
    "architectures": _architectures,
}
