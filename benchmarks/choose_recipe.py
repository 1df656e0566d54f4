"""Steps, rates and dropout of the default, chosen on the development parts: never on held-out.

Every candidate is a run of the registry with some of its options set (`nexus run --stage train --set ...`), so what is
cached stays cached; its tower is then opened as any checkpoint and scored on its teacher's development part.
Prints a table and what was best; the winners are then frozen in `registry.yaml` by hand.

    python benchmarks/choose_recipe.py                       # all candidates: hours on two cores
    python benchmarks/choose_recipe.py --only train/digits   # those whose name begins so
    python benchmarks/choose_recipe.py --quick               # one tower, two candidates, few steps: no claim
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from nexus_specs import Budget, Installed, MetricComponent

from nexus_host.discovery import Plugins
from nexus_host.registry import Registry

TEXT, PERCEPTION = ("prose", "code"), ("digits", "tones", "motion")
QUICK = ["--sample-size", "64", "--set", "student.stages.core.steps=10"]


@dataclass(frozen=True)
class Candidate:
    """Options to try: `place` is what of the registry they stand under, `towers` are scored after `stage`."""

    name: str
    stage: str
    place: str
    towers: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sets(self) -> list[str]:
        """For the command line."""
        return [part for key, value in self.settings.items() for part in ("--set", f"{self.place}.{key}={value}")]


def candidates() -> Iterator[Candidate]:
    """The grid: core and its control by what their text towers reach, then each tower and its control."""
    yield from grid(
        "core", "train", "student.stages.core", TEXT,
        matrix_learning_rate=(0.008, 0.012, 0.017, 0.025), learning_rate=(0.015, 0.025),
    )  # fmt: skip
    yield from grid("anchors", "train", "losses.1", TEXT, weight=(1.0, 4.0, 10.0, 16.0))
    yield from grid("labels", "train", "losses.2", TEXT, weight=(0.0, 0.2, 0.4))
    yield from grid("core-control", "control", "student.stages.core-control", TEXT, dropout=(0.0, 0.1, 0.2))
    for tower in TEXT:
        place = f"towers.{tower}.stages"
        yield from grid(
            f"train/{tower}", "train", f"{place}.train", (tower,),
            matrix_learning_rate=(0.002, 0.004, 0.006, 0.01), learning_rate=(0.0005, 0.001, 0.002, 0.004),
        )  # fmt: skip
        yield from grid(
            f"control/{tower}", "control", f"{place}.control", (tower,),
            matrix_learning_rate=(0.003, 0.01, 0.03), dropout=(0.0, 0.1, 0.2),
        )  # fmt: skip
    for tower in PERCEPTION:
        place = f"towers.{tower}.stages"
        yield from grid(
            f"train/{tower}", "train", f"{place}.train", (tower,),
            matrix_learning_rate=(0.005, 0.007, 0.01, 0.02), learning_rate=(0.002, 0.003, 0.005),
        )  # fmt: skip
        yield from grid(
            f"control/{tower}", "control", f"{place}.control", (tower,),
            matrix_learning_rate=(0.007, 0.01, 0.02), dropout=(0.0, 0.1, 0.2),
        )  # fmt: skip


def quick() -> Iterator[Candidate]:
    """Enough to see that all of it works."""
    for rate in (0.01, 0.02):
        settings = {"steps": 40, "matrix_learning_rate": rate}
        yield Candidate("train/digits", "train", "towers.digits.stages.train", ("digits",), settings)


def grid(name: str, stage: str, place: str, towers: tuple[str, ...], **values: tuple[Any, ...]) -> Iterator[Candidate]:
    """All combinations."""
    for chosen in product(*values.values()):
        yield Candidate(name, stage, place, towers, dict(zip(values, chosen, strict=True)))


class Bench:
    """A registry, a run directory, and how a candidate is scored with them."""

    def __init__(self, registry: Path | None, run: Path, extra: list[str]) -> None:
        self.common = ["--run-dir", str(run), *(["--registry", str(registry)] if registry else []), *extra]
        self.run, self.lookup = run, Installed()
        self.registry = Registry.load(registry, Plugins.discover())

    def scores(self, candidate: Candidate) -> dict[str, float]:
        """Tower -> score on the development part of its (first) teacher."""
        teachers = {tower: self.registry.teachers_of(tower)[0] for tower in candidate.towers}
        chosen = [*self.common, "--stage", candidate.stage, "--models", ",".join(teachers.values()), *candidate.sets]
        host("run", *chosen)
        units = {unit["name"]: unit for unit in json.loads(host("plan", *chosen, "--json"))["units"]}
        core = self.folder(units, "core" if candidate.stage == "train" else "core-control", "core")
        return {
            tower: self.score(f"{core}+{self.folder(units, candidate.stage, tower)}", teacher)
            for tower, teacher in teachers.items()
        }

    def folder(self, units: Mapping[str, Any], stage: str, subject: str) -> Path:
        """Where a unit's artefact lies."""
        return (self.run / "artefacts" / stage / subject / units[f"{stage}/{subject}"]["fingerprint"]).resolve()

    def score(self, source: str, teacher: str) -> float:
        """A student's score on a teacher's development part."""
        (metric,), (data,) = (self.registry.choices(kind, "teacher", teacher) for kind in ("metric", "reader"))
        judge = self.lookup.make("metric", metric.name, **metric.options)
        samples = list(self.lookup.make("reader", data.name, **data.options).samples("development"))
        with self.lookup.make("engine", "sli").load(self.lookup.open(source), Budget()) as student:
            sink = Outputs()
            student.observe(samples, judge.taps, sink)
        columns = {tap.path: [sink.found[tap.path][sample.key] for sample in samples] for tap in judge.taps}
        return float(judge.reduce(judge.measure(samples, columns)))

    def better(self, tower: str) -> int:
        """1 where a higher score is better, else -1."""
        (metric,) = self.registry.choices("metric", "teacher", self.registry.teachers_of(tower)[0])
        described = self.lookup.components("metric")[metric.name]
        return 1 if isinstance(described, MetricComponent) and described.higher_is_better else -1


class Outputs:
    """A sink: tap -> key -> value."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def put(self, piece: Any) -> None:
        """Keeps it."""
        self.found.setdefault(piece.tap, {}).update(zip(piece.keys, piece.values, strict=True))

    def flush(self) -> None:
        """Nothing waits."""


def host(*arguments: str) -> str:
    """What a command of ours prints."""
    done = subprocess.run([sys.executable, "-m", "nexus_host", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nexus {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def best(rows: Iterable[tuple[Candidate, dict[str, float]]], bench: Bench) -> dict[str, dict[str, Any]]:
    """Name -> the settings whose towers reached most, and the scores."""
    found: dict[str, tuple[float, Candidate, dict[str, float]]] = {}
    for candidate, scores in rows:
        worth = statistics.mean(bench.better(tower) * score for tower, score in scores.items())
        if candidate.name not in found or worth > found[candidate.name][0]:
            found[candidate.name] = (worth, candidate, scores)
    return {name: {"settings": dict(one.settings), "scores": scores} for name, (_, one, scores) in found.items()}


def main() -> None:
    """Tries, prints, chooses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", type=Path, help="registry file (default: ./registry.yaml, else the starter's)")
    parser.add_argument("--run-dir", type=Path, default=Path("recipe-run"), help="where the runs are kept")
    parser.add_argument("--only", default="", help="candidates whose name begins so")
    parser.add_argument("--quick", action="store_true", help="one tower, two candidates, few steps")
    parser.add_argument("--json", action="store_true", help="print one object of figures as the last line")
    given = parser.parse_args()
    bench = Bench(given.registry, given.run_dir, QUICK if given.quick else [])
    rows = []
    for candidate in quick() if given.quick else candidates():
        if candidate.name.startswith(given.only):
            rows.append((candidate, bench.scores(candidate)))
            settings = "  ".join(f"{key}={value}" for key, value in candidate.settings.items())
            scores = "  ".join(f"{tower} {score:.4f}" for tower, score in rows[-1][1].items())
            print(f"{candidate.name:16s} {settings:60s} {scores}", flush=True)
    chosen = best(rows, bench)
    print("\nbest on development:")
    for name, one in chosen.items():
        print(f"{name:16s} {one['settings']}  {one['scores']}")
    if given.json:
        print(json.dumps({"candidates": len(rows), "best": chosen}))


if __name__ == "__main__":
    main()
