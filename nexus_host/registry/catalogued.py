"""Data sets that a registry names and does not describe: taken from the catalogues that plugins bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nexus_specs import TowerComponent

from ..discovery import Plugins
from ..words import did_you_mean, listed
from .problems import Problem

Row = Mapping[str, Any]
Data = dict[str, Any]
MEDIA = {"image", "audio", "video"}
JOIN = "-and-"
"""Between the names of several sets that one teacher reads one after the other."""


class Catalogue:
    """The rows that say how they are read (`reader` and `options`), by name; looked up only when it is needed."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self._rows: dict[str, Row] | None = None
        self._every: Sequence[Row] | None = None

    @property
    def rows(self) -> Mapping[str, Row]:
        """By name."""
        if self._rows is None:
            self._rows = {row["name"]: row for row in self._all() if "reader" in row and "error" not in row}
        return self._rows

    def refused(self, name: str) -> str:
        """Why a set that is in a catalogue cannot be had; "" for any other."""
        found = [row["error"] for row in self._all() if row["name"] == name and "error" in row]
        return f"cannot be had: {found[0]}" if found else ""

    def _all(self) -> Sequence[Row]:
        if self._every is None:
            self._every = self.plugins.catalogue("dataset")
        return self._every

    def named(self, word: str) -> list[str]:
        """Names of the sets that a word means: a name, an id on the hub, a tag."""
        return [name for name, row in self.rows.items() if word in (name, row.get("id"), *row.get("tags", ()))]

    def entry(self, names: Sequence[str]) -> Data:
        """What `data` of a registry would hold for one set, or for several with the same reader."""
        rows = [self.rows[name] for name in names]
        words = (word for row in rows for word in (row["name"], row.get("id", ""), *row.get("tags", ())))
        tags = [word for word in dict.fromkeys(words) if word]
        options = dict(rows[0]["options"]) if len(rows) == 1 else {"sets": [dict(row["options"]) for row in rows]}
        return {"reader": rows[0]["reader"], "options": options, "tags": tags}


def complete(data: Data, plugins: Plugins, datasets: Iterable[str] = ()) -> None:
    """Adds entries of `data` for the sets that ready teachers name (in `data`; without it, in `datasets`), and for
    those that `--datasets` names: teachers that list them, else those that can read them, are given them."""
    catalogue = Catalogue(plugins)
    for word in (part.strip() for each in datasets for part in each.split(",")):
        if word and word != "all" and not _known(data, word):
            _give(data, catalogue, catalogue.named(word), plugins)
    for card in _ready(data):
        wanted = card.get("data")
        listed = card.get("datasets")
        names = [listed] if isinstance(listed, str) else listed
        if isinstance(wanted, str) and wanted:
            if wanted not in _entries(data) and wanted in catalogue.rows:
                _add(data, catalogue, [wanted])
        elif wanted is None and isinstance(names, list) and names and all(each in catalogue.rows for each in names):
            card["data"] = _add(data, catalogue, names)


def unknown(data: Data, plugins: Plugins) -> Iterator[Problem]:
    """Sets that ready cards name, and neither the registry nor a catalogue has."""
    catalogue, entries = Catalogue(plugins), _entries(data)
    teachers = data.get("teachers")
    for name, card in teachers.items() if isinstance(teachers, dict) else ():
        if not (_is(card) and card.get("status", "ready") == "ready"):
            continue
        wanted = card.get("data")
        if wanted is None:
            for place, each in enumerate(_listed(card)):
                if isinstance(each, str) and each not in catalogue.rows:
                    near = did_you_mean(each, catalogue.rows)
                    why = f"is in no catalogue.{near} `nexus list datasets` shows them; or name data: ENTRY"
                    message = f"'{each}' {catalogue.refused(each) or why}"
                    yield Problem(("teachers", name, "datasets", place), message)
        elif isinstance(wanted, str) and wanted and wanted not in entries and not did_you_mean(wanted, entries):
            near = did_you_mean(wanted, catalogue.rows)
            why = f"is neither among the data nor in a catalogue.{near} There: {listed(entries)}"
            yield Problem(("teachers", name, "data"), f"'{wanted}' {catalogue.refused(wanted) or why}")


def _give(data: Data, catalogue: Catalogue, names: list[str], plugins: Plugins) -> None:
    """The sets to the teachers that list them; where none does, each teacher those that have what it takes."""
    cards = list(_ready(data))
    listing = [(card, [each for each in names if each in _listed(card)]) for card in cards]
    if not any(chosen for _, chosen in listing):
        takes = [(card, _takes(data, card, plugins)) for card in cards]
        fields = {name: set(catalogue.rows[name].get("columns", ())) for name in names}
        listing = [(card, [name for name in names if _suits(fields[name], wanted)]) for card, wanted in takes]
    for card, chosen in listing:
        if chosen:
            card["data"] = _add(data, catalogue, chosen)


def _suits(fields: set[str], wanted: set[str]) -> bool:
    """Whether a set has what a teacher takes, and nothing to see or hear that its texts are about and it cannot."""
    return bool(wanted) and wanted <= fields and not (fields & MEDIA) - wanted


def _add(data: Data, catalogue: Catalogue, names: Sequence[str]) -> str:
    name = JOIN.join(names)
    if not isinstance(data.get("data"), dict):
        data["data"] = {}
    data["data"].setdefault(name, catalogue.entry(names))
    return name


def _known(data: Data, word: str) -> bool:
    """Whether the registry itself has data of this name or tag."""
    entries = _entries(data)
    return word in entries or any(word in (card.get("tags") or ()) for card in entries.values() if _is(card))


def _entries(data: Data) -> Data:
    return data["data"] if _is(data.get("data")) else {}


def _ready(data: Data) -> Iterator[Data]:
    teachers = data.get("teachers")
    for card in teachers.values() if isinstance(teachers, dict) else ():
        if _is(card) and card.get("status", "ready") == "ready":
            yield card


def _listed(card: Data) -> Sequence[str]:
    listed = card.get("datasets") or ()
    return (listed,) if isinstance(listed, str) else listed if isinstance(listed, (list, tuple)) else ()


def _takes(data: Data, card: Data, plugins: Plugins) -> set[str]:
    """What a teacher's tower takes; empty where that is not known."""
    towers = data.get("towers")
    tower = towers.get(card.get("tower")) if isinstance(towers, dict) else None
    name = tower.get("component", "") if isinstance(tower, dict) else ""
    component = plugins.components("tower").get(name)
    return set(component.takes) if isinstance(component, TowerComponent) else set()


def _is(value: Any) -> bool:
    return isinstance(value, dict)
