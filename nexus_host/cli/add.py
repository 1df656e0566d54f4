"""`nexus add`: a teacher's card from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import click
import psutil
from nexus_specs import Blueprint, NexusError

from ..adding import Addition, Wish, component_of, compose, look, written
from ..planning import preview
from ..planning.suiting import mismatch, without_weights
from ..registry import Registry, RegistryError, RegistryModel
from ..registry.loading import FILE, check_text, text_of
from ..store.atomic import write_bytes
from ..words import bytes_text
from .app import State
from .inspecting import facts
from .output import say


@click.command("add")
@click.argument("source")
@click.option("--data", default="", metavar="FILE", help="What to distil on: a file, a folder, or an entry of `data`")
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
    blueprint = plugins.inspect(wish.source)
    for name, value in facts(blueprint):
        say(f"{name}: {value}")
    addition = compose(wish, blueprint, plugins, model, path.parent, psutil.virtual_memory().available)
    component = component_of(addition, model)
    if said := mismatch(component, blueprint, plugins):
        raise NexusError(f"--tower {wish.tower}: the component {component} {said}.")
    look(addition, blueprint, plugins, path.parent)
    new = written(text, addition)
    check_text(new, path, plugins)
    write_bytes(path, new.encode())
    _tell(addition, registry, blueprint)
    try:
        preview(Registry.load(path, plugins), plugins, run_dir.absolute())
    except RegistryError as error:
        raise RegistryError([f"The card is written. {error}"]) from error
    return 0


def _tell(addition: Addition, registry: Path, blueprint: Blueprint) -> None:
    card = addition.teacher
    data = addition.data.get(card["data"])
    reader = f" (new, reader {data['reader']})" if data else ""
    say(f"{registry}: teacher '{addition.name}', tower '{card['tower']}', data '{card['data']}'{reader}.")
    if addition.student:
        free = bytes_text(psutil.virtual_memory().available)
        say(f"{registry}: a core for {free} of free memory: {addition.student.get('options', 'the default')}.")
    if blueprint.weightless:
        say(without_weights(card["source"], blueprint))
    else:
        say("Type `nexus run` to distil it.")
