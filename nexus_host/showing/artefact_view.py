"""`nexus show`: an artefact, or everything that a run made, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, plain
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..store import Artefact, Store, damage, read
from ..store.lock import status_note
from ..words import bytes_text
from .tables import print_rows, print_table, table_of


def shown(folder: Path) -> dict[str, Any]:
    """A folder as JSON: an artefact, a run directory, or any folder with a table. Raises NexusError for others."""
    if not folder.is_dir():
        raise NexusError(f"There is no folder {folder}. Name an artefact or a run; `nexus run` makes nexus-run.")
    artefact = read(folder)
    if artefact:
        return {"artefact": _facts(artefact)}
    every = Store(folder).every()
    if every:
        latest = {unit["fingerprint"] for unit in status_note(folder).get("units", ())}
        facts = [_facts(each) | {"latest": each.unit.fingerprint in latest} for each in every]
        return {"run": str(folder), "artefacts": facts}
    if table := table_of(folder):
        return {"folder": str(folder), "table": table}
    raise NexusError(f"{folder} is no artefact, no run directory, and holds no table.json. See `nexus status`.")


def _facts(artefact: Artefact) -> dict[str, Any]:
    found = {"folder": str(artefact.folder), "unit": plain(artefact.unit), "facts": artefact.facts}
    sizes = {
        name: (artefact.folder / name).stat().st_size for name in artefact.files if (artefact.folder / name).exists()
    }
    return {**found, "files": sizes, "damage": damage(artefact.folder), "table": table_of(artefact.folder)}


def print_shown(facts: Mapping[str, Any], out: Console) -> None:
    """Prints what `shown` found."""
    if "artefact" in facts:
        _print_artefact(facts["artefact"], out)
    elif "artefacts" in facts:
        _print_run(facts, out)
    else:
        print_table(facts["table"], out)


def _print_artefact(facts: Mapping[str, Any], out: Console) -> None:
    unit, made = facts["unit"], facts["facts"]
    out.print(escape(f"{unit['stage']} of {unit['subject']}, {unit['fingerprint']}: {facts['damage'] or 'intact'}"))
    for name, text in _said(made):
        out.print(f"  {name}: {text}", markup=False, soft_wrap=True)
    for name, size in facts["files"].items():
        out.print(f"  {name}  {bytes_text(size)}", markup=False)
    if facts["table"]:
        print_table(facts["table"], out)


def _said(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an artefact was made of, without what is empty."""
    yield "stage", made["stage"]["version"]
    for name in ("options", "inputs", "card"):
        if made.get(name):
            yield name, ", ".join(f"{key} {value}" for key, value in made[name].items())
    for name, component in made.get("components", {}).items():
        yield name, component["version"] if "version" in component else str(component)
    if made.get("records"):
        yield "records", ", ".join(made["records"])
    yield "seed", str(made["seed"])


def _print_run(facts: Mapping[str, Any], out: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("unit", "fingerprint", "files", "size", ""):
        table.add_column(name, justify="right" if name in ("files", "size") else "left")
    for each in facts["artefacts"]:
        unit, sizes = each["unit"], each["files"]
        name = f"{unit['stage']}/{unit['subject']}"
        state = each["damage"] or ("" if each["latest"] else "of earlier settings")
        row = [name, unit["fingerprint"], str(len(sizes)), bytes_text(sum(sizes.values())), state]
        table.add_row(*(escape(text) for text in row))
    print_rows(table, out)
    for each in facts["artefacts"]:
        if each["table"] and each["latest"] and each["unit"]["subject"] == "student":
            print_table(each["table"], out)
