"""`nexus profile`, `extract` and `score`: runs of a registry of one teacher, up to that stage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from nexus_specs import NexusError

from ..adding import Wish, compose, written
from ..registry import Override, Registry, RegistryModel
from ..running.session import Request, Result, perform
from ..store import Store, read, replacing, verified, write_bytes
from ..store.made import Made
from .app import State
from .inspecting import looked_at
from .output import json_option, say
from .run import report

FILE = "teacher.yaml"
_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.argument("source"),
    click.option("--data", default="", metavar="FILE", help="What the teacher is asked: a file or a folder"),
    click.option("--tower", default="", metavar="NAME", help="The tower that suits it, where several do"),
    click.option("--out", type=click.Path(path_type=Path), help="Where the artefact is put as well"),
    click.option("--run-dir", type=click.Path(path_type=Path), help="[default: ./nexus-run-ID]"),
    click.option("--sample-size", type=click.IntRange(1), help="At most this many samples of each part"),
    click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Changes a value of the registry"),
    json_option,
)
_TAPS: tuple[Callable[..., Any], ...] = (
    click.option("--taps", metavar="LAYERS", help="Only the states of these layers: 8,16, or module paths"),
    click.option("--memory", default="", metavar="SIZE", help="What weights and states may take, as 2GiB"),
    click.option("--disk", default="", metavar="SIZE", help="What files of a hub and states may take, as 20GB"),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a command line says of one teacher; each field stands as an option above."""

    source: str
    data: str
    tower: str
    out: Path | None
    run_dir: Path | None
    sample_size: int | None
    sets: tuple[str, ...]
    as_json: bool
    taps: str | None = None
    memory: str = ""
    disk: str = ""

    def overrides(self) -> list[Override]:
        """What it changes in the registry."""
        bounds = [f"run.{name}={size}" for name, size in (("memory", self.memory), ("disk", self.disk)) if size]
        return [Override.parse(each) for each in (*self.sets, *bounds)]


def _command(stage: str, does: str) -> click.Command:
    @click.pass_obj
    def run(state: State, /, **given: Any) -> int:
        asked = Asked(**given)
        return _one_teacher(state, stage, asked) if asked.taps is None else _layers_alone(state, asked)

    for option in reversed((*_OPTIONS, *(_TAPS if stage == "extract" else ()))):
        run = option(run)
    return click.command(stage, help=f"{does} The checkpoint SOURCE is a folder, a package: resource or a hub id.")(run)


profile = _command("profile", "Profile one teacher: which layers matter, and in which directions.")
extract = _command("extract", "Record what one teacher gives on its data, as shards.")
score = _command("score", "Score one teacher on its held-out data.")


def _layers_alone(state: State, asked: Asked) -> int:
    """No registry and no run: the command `taps` of whatever plugin brings it."""
    if not (asked.taps or "").strip(" ,"):
        raise click.UsageError("--taps names no layer. Write numbers or module paths, as in --taps 8,16.")
    flags = {"--tower": asked.tower, "--run-dir": asked.run_dir, "--set": asked.sets, "--json": asked.as_json}
    if ignored := [flag for flag, value in flags.items() if value]:
        raise click.UsageError(f"{', '.join(ignored)}: not with --taps, which runs without a registry.")
    given = {name: getattr(asked, name) for name in ("source", "data", "out", "taps", "memory", "disk")}
    options = {name: value for name, value in (given | {"samples": asked.sample_size}).items() if value}
    return int(state.plugins.make("command", "taps", **options)(state.plugins) or 0)


def _one_teacher(state: State, stage: str, asked: Asked) -> int:
    """Writes the registry of one teacher into the run directory, and runs it up to a stage."""
    wish = Wish(source=asked.source, data=asked.data, tower=asked.tower)
    run, text = _registry(wish, state, asked.run_dir)
    path = run / FILE
    Made(run).add(FILE)
    write_bytes(path, text.encode())
    registry = Registry.load(path, state.plugins, asked.overrides(), files=True)
    request = Request(
        registry=registry,
        plugins=state.plugins,
        run=run,
        without=state.without,
        target=stage,
        samples=asked.sample_size or 0,
    )
    result = perform(request)
    if asked.out and result.code == 0:
        _copy(result, stage, asked.out.absolute())
    return report(result, request, as_json=asked.as_json)


def _registry(wish: Wish, state: State, run_dir: Path | None) -> tuple[Path, str]:
    """The run directory, and the text of a registry with this teacher alone."""
    blueprint = looked_at(wish.source, state.plugins)
    memory, model = psutil.virtual_memory().available, RegistryModel()
    if run_dir is None:
        name = compose(wish, blueprint, state.plugins, model, Path.cwd(), memory).name
        run_dir = Path(f"nexus-run-{name}")
    run = run_dir.absolute()
    return run, written("", compose(wish, blueprint, state.plugins, model, run, memory))


def _copy(result: Result, stage: str, out: Path) -> None:
    """Puts the artefact of a stage at `out`, whole or not at all; only an artefact may be in its way."""
    if out.exists() and read(out) is None and (not out.is_dir() or any(out.iterdir())):
        raise NexusError(f"--out {out} exists and is no artefact. Choose another folder.")
    (task,) = (task for task in result.board.plan.tasks if task.unit.stage == stage)
    folder = verified(Store(result.board.plan.run).folder(task.unit))
    with replacing(out) as temporary:
        shutil.copytree(folder, temporary)
    say(f"{task.unit.name}: {out}")
