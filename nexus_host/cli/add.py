"""`nexus add`: a teacher's card from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import click
import psutil
from nexus_specs import Blueprint, NexusError

from ..adding import Addition, Wish, component_of, compose, look, written
from ..adding.proposing import fetched, told, unasked
from ..discovery import Plugins
from ..discovery.opening import is_here
from ..planning.suiting import mismatch, without_weights
from ..registry import Registry, RegistryError, RegistryModel
from ..registry.catalogued import Catalogue
from ..registry.loading import FILE, check_text, text_of
from ..store.atomic import write_bytes
from ..words import bytes_text
from .app import State
from .inspecting import facts, looked_at
from .output import say
from .run import preview


@click.command("add")
@click.argument("source")
@click.option(
    "--data",
    default="",
    metavar="FILE",
    help="What to distil on: a file, a folder, an entry of `data`, or a name of `nexus list datasets` [default: data "
    "of a teacher with such a tower, else a known set that suits the checkpoint]",
)
@click.option("--tower", default="", metavar="ID", help="A tower of the registry, or the component of a new one")
@click.option("--name", default="", metavar="ID", help="Id of the teacher [default: from SOURCE]")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="How much of its score to keep")
@click.option("--registry", type=click.Path(path_type=Path, dir_okay=False), default=FILE, show_default=True)
@click.option("--run-dir", type=click.Path(path_type=Path), default="nexus-run", show_default=True)
@click.pass_obj
def command(state: State, /, *, registry: Path, run_dir: Path, **given: object) -> int:
    """Write a card for the checkpoint SOURCE (a folder, a package: resource, a hub id) into the registry, and show
    the plan.

    The tower follows from what the checkpoint takes and gives, the metric from the tower, the reader from the
    ending of the file. A new registry gets a core that suits the memory of this machine.
    """
    plugins, path = state.plugins, registry.absolute()
    wish = Wish(**given)  # type: ignore[arg-type]  # click has checked them
    text = text_of(path) if path.exists() else ""
    model = Registry.load(path, plugins, strict=False).model if text.strip() else RegistryModel()
    blueprint = looked_at(wish.source, plugins)
    for name, value in facts(blueprint):
        say(f"{name}: {value}")
    addition = compose(wish, blueprint, plugins, model, path.parent, psutil.virtual_memory().available)
    component = component_of(addition, model)
    if said := mismatch(component, blueprint, plugins):
        raise NexusError(f"--tower {wish.tower}: the component {component} {said}.")
    addition = look(addition, blueprint, plugins, model, path.parent)
    new = written(text, addition)
    check_text(new, path, plugins)
    write_bytes(path, new.encode())
    _tell(addition, registry, blueprint, plugins)
    try:
        _plan(Registry.load(path, plugins), addition, wish.source, plugins, run_dir.absolute())
    except RegistryError as error:
        raise RegistryError([f"The card is written. {error}"]) from error
    return 0


def _plan(registry: Registry, addition: Addition, source: str, plugins: Plugins, run_dir: Path) -> None:
    """Shows the plan. A hub is asked where the user named something on it, not for data that nobody named."""
    if not addition.proposed or not is_here(source):
        preview(registry, plugins, run_dir)
    elif fetched(addition.proposed, plugins):
        with unasked():
            preview(registry, plugins, run_dir)
    else:
        say("Nobody was asked for these data yet: `nexus plan` asks how much is to be fetched and shows the plan.")


def _tell(addition: Addition, registry: Path, blueprint: Blueprint, plugins: Plugins) -> None:
    card = addition.teacher
    data = addition.data.get(card["data"])
    reader = f" (new, reader {data['reader']})" if data else ""
    say(f"{registry}: teacher '{addition.name}', tower '{card['tower']}', data '{card['data']}'{reader}.")
    if addition.proposed:
        said = told(Catalogue(plugins).rows[addition.proposed])
        say(f"{registry}: these data are a proposal ({said}), fetched when a run reads them. Others: --data FILE.")
    if addition.student:
        free = bytes_text(psutil.virtual_memory().available)
        say(f"{registry}: a core for {free} of free memory: {addition.student.get('options', 'the default')}.")
    if blueprint.weightless:
        say(without_weights(card["source"], blueprint))
    else:
        say("Type `nexus run` to distil it.")
