"""What `nexus add` is going to write, as plain data."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Budget, NexusError, TowerComponent, locate, reader_for
from nexus_specs.caching import expanded

from ..discovery import Plugins
from ..registry import Registry, RegistryModel
from ..registry.cards import ID
from ..registry.catalogued import Catalogue
from ..registry.places import ELSEWHERE
from ..words import listed
from .matching import tower_for
from .proposing import proposed, sibling

Data = dict[str, Any]
CARD, _HEAD = "README.md", 16_384
_LICENCE = re.compile(r"^(license|license_name):[ \t]*(\S.*?)[ \t\r]*$", re.MULTILINE)
"""Fields of the head of a model card on the Hugging Face hub, and how much of the card is looked at."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for."""

    source: str
    data: str = ""
    """A file, a folder, or an entry of the registry's data."""
    tower: str = ""
    """Id of a tower in the registry, or name of a component."""
    name: str = ""
    """Id of the teacher; by default from the source."""
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What is put into a registry."""

    name: str
    teacher: Data
    tower: Data = field(default_factory=dict)
    """Empty where the tower is there already."""
    data: Data = field(default_factory=dict)
    """Empty where the data are there already."""
    student: Data = field(default_factory=dict)
    losses: tuple[Data, ...] = ()
    """Where the registry has none that apply; `student` where it has none yet."""
    proposed: str = ""
    """The set of a catalogue that the data are, where nobody named it."""
    joins: tuple[int, ...] = ()
    """Positions of losses that name their teachers and are for towers like this one."""


def compose(
    wish: Wish, blueprint: Blueprint, plugins: Plugins, model: RegistryModel, home: Path, memory: int
) -> Addition:
    """The cards for a checkpoint, beside what the registry has. Raises NexusError with what is missing.

    `home` is the registry's folder, `memory` what this machine has free, in bytes.
    """
    name = _free_name(wish, model)
    existing = model.towers.get(wish.tower)
    wanted = wish.tower if wish.tower in plugins.components("tower") else ""
    component = existing.component if existing else tower_for(blueprint, plugins, wanted)
    source = wish.data or sibling(component, blueprint, plugins, model)
    offered = source or _offered(component, blueprint, plugins)
    entry, data = _data(offered, name, plugins, model, home)
    tower = wish.tower if existing else name if wish.tower == wanted else wish.tower
    metric = _metric(component, plugins)
    teacher: Data = {"source": _written_path(wish.source, home), "status": "ready", "capability": name, "tower": tower}
    teacher |= ({"metric": metric} if metric else {}) | {"data": entry}
    teacher |= {"share": wish.share} if wish.share is not None else {}
    teacher |= {"licence": said} if (said := licence(wish.source)) else {}
    return Addition(
        name=name,
        teacher=teacher,
        tower={} if existing or tower in model.towers else {tower: {"component": component}},
        data={entry: data} if data else {},
        student={} if model.teachers else _student(blueprint, plugins, model, memory),
        losses=_new_losses(name, component, model, plugins),
        joins=_joins(component, model),
        proposed="" if source or data or entry in model.data else entry,
    )


def component_of(addition: Addition, model: RegistryModel) -> str:
    """The component of the tower that a teacher is given, be it new or there already."""
    for card in addition.tower.values():
        return str(card["component"])
    return model.towers[addition.teacher["tower"]].component


def licence(source: str) -> str:
    """What the model card of a checkpoint on this machine says in its head; "" where it says nothing."""
    try:
        path = locate(source)
        text = (path / CARD).read_bytes()[:_HEAD].decode("utf-8", "replace") if path.is_dir() else ""
    except OSError:
        return ""
    head = text.split("\n---", 1)[0] if text.startswith("---") else ""
    found: dict[str, str] = {key: value.strip(" \"'") for key, value in _LICENCE.findall(head)}
    return found.get("license_name") or found.get("license", "")


def _free_name(wish: Wish, model: RegistryModel) -> str:
    last = re.split(r"[/:]", wish.source.rstrip("/"))[-1]
    name = wish.name or re.sub(r"[^a-z0-9_.-]+", "-", last.lower()).strip("-_.") or "teacher"
    if not ID.fullmatch(name):
        raise NexusError(f"--name {name}: use letters, digits, '-', '_' and '.', and begin with a letter or digit.")
    taken = {each for key, card in model.teachers.items() for each in (key, *card.aliases)}
    if name in taken:
        raise NexusError(f"The registry has a teacher '{name}' already. Choose another id with --name.")
    return name


def _offered(component: str, blueprint: Blueprint, plugins: Plugins) -> str:
    """The data that the tower or a catalogue has for a checkpoint. Raises NexusError where there are none."""
    tower = plugins.component("tower", component)
    found = proposed(tower, blueprint, Catalogue(plugins).rows) if isinstance(tower, TowerComponent) else ""
    if not found:
        raise NexusError(
            f"A teacher for the tower '{component}' needs data to be distilled on. Add --data FILE (or a folder, or a "
            f"name of `nexus list datasets`). Readers: {listed(plugins.components('reader'))}."
        )
    return found


def _data(source: str, name: str, plugins: Plugins, model: RegistryModel, home: Path) -> tuple[str, Data]:
    """The entry of the data, and its card where it is new."""
    if source in model.data or source in Catalogue(plugins).rows:
        return source, {}
    entry = name if name not in model.data else f"{name}-data"
    return entry, {"reader": reader_for(source, plugins), "options": {"path": _written_path(source, home)}}


def _metric(component: str, plugins: Plugins) -> str:
    tower = plugins.component("tower", component)
    return tower.metric if isinstance(tower, TowerComponent) else ""


def _written_path(source: str, home: Path) -> str:
    """A source as it stands in the file: a path that was given relative to this folder becomes relative to the
    registry's; a hub id stays as it is."""
    path = expanded(source)
    if source.startswith(ELSEWHERE) or not path.exists() or path.is_absolute():
        return str(path) if path.is_absolute() else source
    inner = os.path.relpath(path.resolve(), home.resolve())
    return inner if inner.startswith(".") else f"./{inner}"


def _student(blueprint: Blueprint, plugins: Plugins, model: RegistryModel, memory: int) -> Data:
    """A card with a core that suits this teacher and this memory; it is trained as the registry of a plugin trains
    its own, which somebody chose on data."""
    offered = plugins.components("student")
    name = model.student.component if model.student.component in offered else next(iter(offered), "")
    plugins.component("student", name or model.student.component)
    maker = plugins.make("student", name)
    sizes: Mapping[str, Any] = maker.propose([blueprint], Budget(memory=memory), model.student.tier)
    default = {field.name: field.default for field in plugins.fields("student", name)}
    changed = {key: value for key, value in sizes.items() if key not in default or value != default[key]}
    template = _template(plugins)
    alike = template is not None and template.student.component == name
    stages = {stage: dict(given) for stage, given in template.student.stages.items()} if template and alike else {}
    core: Data = {"component": name, "core": "auto"}
    return core | {"options": changed or dict(sizes)} | ({"stages": stages} if stages else {})


def _new_losses(name: str, component: str, model: RegistryModel, plugins: Plugins) -> tuple[Data, ...]:
    """The losses of a registry that has none yet; of one whose losses are all for other teachers, those for this one
    alone, so that nothing changes for the others."""
    if not model.losses:
        return _losses(name, component, plugins)
    if _joins(component, model) or any(not loss.teachers for loss in model.losses):
        return ()
    return tuple(loss | {"teachers": [name]} for loss in _losses(name, component, plugins))


def _losses(name: str, component: str, plugins: Plugins) -> tuple[Data, ...]:
    """The losses that the default registry of a plugin gives towers like this one; without one, all that learn from a
    teacher."""
    template = _template(plugins)
    if template is None:
        losses = plugins.components("loss")
        return tuple({"name": each} for each, loss in losses.items() if getattr(loss, "records", ()))
    found: list[Data] = []
    for index, card in enumerate(template.losses):
        if not card.teachers or index in _joins(component, template):
            loss: Data = {"name": card.name, "weight": card.weight}
            loss |= {"options": dict(card.options)} if card.options else {}
            loss |= {"teachers": [name]} if card.teachers else {}
            found.append(loss | ({"stages": list(card.stages)} if card.stages else {}))
    return tuple(found)


def _template(plugins: Plugins) -> RegistryModel | None:
    """The registry that a plugin brings, if one does."""
    from ..registry.loading import default

    path = default(plugins)
    return Registry.load(path, plugins, strict=False).model if path else None


def _joins(component: str, model: RegistryModel) -> tuple[int, ...]:
    """Positions of the losses that are for named teachers, one of which has a tower of this component."""
    alike = {
        name
        for name, card in model.teachers.items()
        if card.tower in model.towers and model.towers[card.tower].component == component
    }
    return tuple(index for index, loss in enumerate(model.losses) if alike & set(loss.teachers))
