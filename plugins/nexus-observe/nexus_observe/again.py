"""A release's scores, found again in a process of their own: `python -m nexus_observe.again RELEASE PLACES RESULT`.

PLACES is a JSON file: {"teachers": [source, ...], "data": {capability: reader's options}}. The teachers named there and
in the manifest are out of reach, and so is the network. What is used of Nexus is found among the installed
plugins: no host, no registry, no run directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Budget, Installed, Lookup, Metric, NexusError, Sample, Teacher, locate
from nexus_torch import hub
from nexus_torch.hub.cache import storage

from .denial import deny
from .release import Capability, capabilities, read_manifest
from .rows import Row, judged, measure, once

ENGINE, ADAPTER = "sli", "adapter_config.json"


def main(release: Path, places: Path, result: Path) -> int:
    """Writes {"denied": [...], "kernel": {"files", "network"}, "scores": {capability: {...}}} to `result`."""
    manifest, known = read_manifest(release), json.loads(places.read_text(encoding="utf-8"))
    named = (str(facts["source"]) for facts in manifest.get("teachers", {}).values() if facts.get("source"))
    denied, kernel = deny(folders([*named, *known["teachers"]]))
    scores = rescore(release, Installed(), [_here(each, known["data"]) for each in capabilities(manifest)])
    found = {"denied": [str(path) for path in denied], "kernel": kernel._asdict(), "scores": scores}
    result.write_text(json.dumps(found), encoding="utf-8")
    return 0


def _here(capability: Capability, data: Mapping[str, Mapping[str, Any]]) -> Capability:
    """A capability whose data are named as they are found here."""
    found = replace(capability.data, options=data.get(capability.name, capability.data.options))
    return replace(capability, data=found)


def folders(sources: Iterable[str]) -> list[Path]:
    """Where teachers lie on this machine, and what they stand on, if they do; each once."""
    found: dict[Path, bool] = {}
    left = list(sources)
    while left:
        with suppress(FileNotFoundError, ModuleNotFoundError):  # a package that is not installed here
            path = _place(left.pop(0))
            if path not in found:
                found[path] = path.exists()
                left += _base(path)
    return [path for path, there in found.items() if there]


def _place(source: str) -> Path:
    """A folder or file; of "FOLDER#part" the folder, of a repository on a hub all commits that the cache has."""
    path = locate(source)
    if not path.exists() and (known := hub.parse(source)) is not None:
        path = storage(known)
    elif not path.exists():
        path = locate(source.partition("#")[0])
    return path.resolve()


def _base(path: Path) -> list[str]:
    """What an adapter stands on: the model that it says it was trained for."""
    with suppress(OSError, ValueError, TypeError, AttributeError):  # no adapter, or none that says so
        base = json.loads((path / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
        return [str(path / base) if (path / base).exists() else base] if isinstance(base, str) and base else []
    return []


def rescore(release: Path, lookup: Lookup, wanted: list[Capability]) -> dict[str, dict[str, float]]:
    """Capability -> student_score (the router chooses), forced_score, items."""
    samples = {each.name: held_out(lookup, each) for each in wanted}
    metrics = {each.name: lookup.make("metric", each.metric.name, **each.metric.options) for each in wanted}
    found: dict[str, dict[str, float]] = {each.name: {} for each in wanted}
    sources = {str(release): wanted} | {f"{release}#{each.tower}": [each] for each in wanted}
    for source, group in sources.items():
        kind = "forced_score" if "#" in source.removeprefix(str(release)) else "student_score"
        with lookup.make("engine", ENGINE).load(lookup.open(source), Budget()) as student:
            for each in group:
                print(f"{kind.partition('_')[0]}: {each.name}", file=sys.stderr, flush=True)
                rows = first_rows(student, samples[each.name], metrics[each.name], each.items)
                found[each.name] |= {kind: score(each, metrics[each.name], rows), "items": len(judged(rows))}
    return found


def first_rows(student: Teacher, samples: Sequence[Sample], metric: Metric, items: int) -> dict[str, Row]:
    """The rows of the first samples of which `items` can be judged (0: of all)."""
    rows: dict[str, Row] = {}
    missing = items or len(samples)
    while missing and len(rows) < len(samples):
        rows |= measure(student, samples[len(rows) : len(rows) + missing], metric)
        missing = items - len(judged(rows)) if items else 0
    return rows


def held_out(lookup: Lookup, capability: Capability) -> list[Sample]:
    """The held-out samples, each once. NexusError if the data are not here."""
    reader = lookup.make("reader", capability.data.name, **capability.data.options)
    if capability.data_hash and reader.fingerprint("held_out") != capability.data_hash:
        raise NexusError(
            f"The held-out data of '{capability.name}' that are here are not those that were judged: their hash is "
            "another one. Say where the right ones lie: --data FOLDER."
        )
    if not (found := once(reader.samples("held_out"))):
        raise NexusError(f"The held-out data of '{capability.name}' are empty here. Say where they lie: --data FOLDER.")
    return found


def score(capability: Capability, metric: Any, rows: dict[str, Row]) -> float:
    """The score of what could be judged."""
    if not (kept := judged(rows)):
        raise NexusError(f"Nothing of the held-out data of '{capability.name}' can be judged.")
    return float(metric.reduce(kept))


if __name__ == "__main__":
    try:
        sys.exit(main(*map(Path, sys.argv[1:])))
    except NexusError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
