"""Which teachers a run is about: `--models`, `--datasets`, `--skip-non-llm`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from nexus_specs import NexusError, TowerComponent

from ..discovery import Plugins
from ..words import did_you_mean, listed
from .cards import RegistryModel, TeacherCard
from .catalogued import Catalogue

_SHOWN = 6
"""Names of a list that a message shows."""


class SelectionError(NexusError):
    """A name on the command line that selects nothing."""

    exit_code = 2


def chosen(
    model: RegistryModel, plugins: Plugins, models: Iterable[str], datasets: Iterable[str], language_only: bool
) -> tuple[str, ...]:
    """Ids of the ready teachers that are meant, in the order of the file. Raises SelectionError."""
    named = {_teacher(model, name) for name in _split(models)}
    data = {entry for name in _split(datasets) for entry in _entries(model, name, plugins)}
    return tuple(
        name
        for name, teacher in model.teachers.items()
        if teacher.status == "ready"
        and (not named or name in named)
        and (not data or teacher.data in data)
        and not (language_only and not speaks(model, plugins, teacher))
    )


def speaks(model: RegistryModel, plugins: Plugins, teacher: TeacherCard) -> bool:
    """Whether it is a language model: its card says so or, where it is silent, its tower takes text alone."""
    return (teacher.modality or modality(model, plugins, teacher)) in ("language", "text")


def modality(model: RegistryModel, plugins: Plugins, teacher: TeacherCard) -> str:
    """What the card says, else what the component of its tower takes ("text", "image", "text+image")."""
    tower = model.towers.get(teacher.tower)
    component = plugins.components("tower").get(tower.component) if tower else None
    takes = component.takes if isinstance(component, TowerComponent) else ()
    return teacher.modality or "+".join(takes)


def _split(names: Iterable[str]) -> list[str]:
    return [part.strip() for name in names for part in name.split(",") if part.strip()]


def known_as(model: RegistryModel, name: str) -> str:
    """The id of the teacher that is called so, in whatever spelling; "" for none."""
    ids = _ids(model)
    return ids.get(name) or _spelt(model, ids).get(_folded(name), "")


def _ids(model: RegistryModel) -> dict[str, str]:
    return {alias: key for key, card in model.teachers.items() for alias in (key, *card.aliases)}


def _teacher(model: RegistryModel, name: str) -> str:
    ids, key = _ids(model), known_as(model, name)
    if not key:
        known = [key for key, card in model.teachers.items() if card.status == "ready"]
        raise SelectionError(
            f"--models: no teacher is named '{name}'.{did_you_mean(name, ids)} Ready: {listed(known)}."
        )
    status = model.teachers[key].status
    if status != "ready":
        called = f"'{name}'" if name == key else f"'{name}' ({key})"
        what = f"the teacher {called} is {status}; write `status: ready` in its card to run it."
        raise SelectionError(f"--models: {what}")
    return key


def _spelt(model: RegistryModel, ids: Mapping[str, str]) -> dict[str, str]:
    """Folded names -> ids: the ids and aliases, then what the sources are called, where that means one teacher."""
    found = {_folded(alias): key for alias, key in reversed(list(ids.items()))}
    sources = [(_folded(word), key) for key, card in model.teachers.items() for word in _called(card.source)]
    counts = Counter(word for word, _ in sources)
    return {word: key for word, key in sources if counts[word] == 1} | found


def _called(source: str) -> set[str]:
    """A source, and its last part: "owner/name" -> "owner/name", "name"."""
    return {source, source.rpartition("/")[2]}


def _folded(word: str) -> str:
    """Without what people spell in different ways.

    >>> _folded("Qwen2.5_Coder-7B")
    'qwen2-5-coder-7b'
    """
    return re.sub(r"[\s_.]+", "-", word.strip().lower())


def _entries(model: RegistryModel, name: str, plugins: Plugins) -> list[str]:
    entries = [key for key, card in model.data.items() if name in ("all", key, *card.tags)]
    if entries:
        return entries
    catalogue = Catalogue(plugins)
    if sets := catalogue.named(name):
        raise SelectionError(
            f"--datasets: '{name}' means {_some(sets)}, and none of the ready teachers lists or can read them. Make a "
            "teacher ready whose tower takes what they have (`nexus list datasets`, `nexus list teachers`)."
        )
    here = sorted({"all", *model.data, *(tag for card in model.data.values() for tag in card.tags)})
    there = {word for row in catalogue.rows.values() for word in (row["name"], *row.get("tags", ()))}
    raise SelectionError(
        f"--datasets: no data has the name or tag '{name}'.{did_you_mean(name, [*here, *there])} Here: {listed(here)}. "
        "`nexus list datasets` shows the rest."
    )


def _some(names: list[str]) -> str:
    """At most six of them.

    >>> _some(["a", "b"]), _some(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e, f and 2 more')
    """
    return listed(names) if len(names) <= _SHOWN else f"{listed(names[:_SHOWN])} and {len(names) - _SHOWN} more"
