"""Steps, rates, dropout and weights of the losses of the default, chosen on development: never on held-out.

One option after the other (coordinate descent): each of its values is a run of the registry with that value set
(`nexus run --stage train --set ...`), so what is cached stays cached; the tower is then opened as any checkpoint and
scored on its teacher's development part; the best value stands for all that follows. The student's options and the
control's are chosen in the same way, neither knowing of the other; steps are the student's, and the control takes as
many. The most steps that are tried are those with which the whole default stays within six minutes.
Prints a table and what was best; `--write` keeps it, and the winners are then frozen in `registry.yaml`.

    python benchmarks/choose_recipe.py                         # all of it: about two hours on two cores
    python benchmarks/choose_recipe.py --only control          # the options whose name begins so; the others stay at
                                                               # what the registry says
    python benchmarks/choose_recipe.py --quick                 # one tower, two values, few steps: no claim
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import Budget, Installed, MetricComponent
from report import arguments, finish, spread

from nexus_host.discovery import Plugins
from nexus_host.registry import Registry

TEXT, PERCEPTION = ("prose", "code"), ("digits", "tones", "motion")
QUICK = ["--sample-size", "64", "--set", "student.stages.core.steps=10"]


@dataclass(frozen=True)
class Option:
    """One option: its values (the first is where the search starts) and the towers that are scored after `stage`."""

    name: str
    stage: str
    place: str
    values: tuple[Any, ...]
    towers: tuple[str, ...]


def options() -> Iterator[Option]:
    """All that is chosen, in this order: what towers stand on first."""
    yield from group("student/core", "train", "student.stages.core", TEXT,
                     matrix_learning_rate=(0.012, 0.008, 0.017), learning_rate=(0.025, 0.015))  # fmt: skip
    yield from group("student/anchors", "train", "losses.1", TEXT, weight=(10.0, 4.0, 1.5))
    yield from group("student/labels", "train", "losses.2", TEXT, weight=(0.2, 0.0))
    yield from group("control/core", "control", "student.stages.core-control", TEXT,
                     matrix_learning_rate=(0.012, 0.008, 0.017), learning_rate=(0.025, 0.015),
                     dropout=(0.0, 0.1))  # fmt: skip
    for tower, matrices, rates, dropouts in (
        ("prose", (0.004, 0.002, 0.008), (0.001, 0.002), (0.0, 0.1)),
        ("code", (0.006, 0.003, 0.012), (0.002, 0.001), (0.0, 0.1)),
        ("digits", (0.01, 0.005, 0.02), (0.002, 0.004), (0.2, 0.0)),
        ("tones", (0.01, 0.005, 0.02), (0.002, 0.004), (0.2, 0.0)),
        ("motion", (0.007, 0.004, 0.014), (0.003, 0.005), (0.0, 0.2)),
    ):
        place = f"towers.{tower}.stages"
        yield from group(f"student/{tower}", "train", f"{place}.train", (tower,),
                         matrix_learning_rate=matrices, learning_rate=rates)  # fmt: skip
        yield from group(f"control/{tower}", "control", f"{place}.control", (tower,),
                         matrix_learning_rate=matrices, dropout=dropouts)  # fmt: skip
        yield from group(f"control/rate of {tower}", "control", f"{place}.control", (tower,), learning_rate=rates)
    yield from group("student/steps", "train", "student.stages.core", TEXT, steps=(2000, 1500))
    for tower, steps in (("prose", 100), ("code", 100), ("digits", 500), ("tones", 400), ("motion", 800)):
        place = f"towers.{tower}.stages.train"
        yield from group("student/steps", "train", place, (tower,), steps=(steps, steps // 2))


def quick() -> Iterator[Option]:
    """Enough to see that all of it works."""
    yield from group(
        "student/digits", "train", "towers.digits.stages.train", ("digits",), matrix_learning_rate=(0.01, 0.02)
    )


def group(name: str, stage: str, place: str, towers: tuple[str, ...], **values: tuple[Any, ...]) -> Iterator[Option]:
    """The options of one place."""
    for key, several in values.items():
        yield Option(name, stage, f"{place}.{key}", several, towers)


class Bench:
    """A registry, a run directory, and how a candidate is scored with them."""

    def __init__(self, registry: Path | None, run: Path, extra: list[str]) -> None:
        self.common = ["--run-dir", str(run), *(["--registry", str(registry)] if registry else []), *extra]
        self.run, self.lookup = run, Installed()
        self.registry = Registry.load(registry, Plugins.discover())

    def scores(self, stage: str, towers: Iterable[str], settings: Mapping[str, Any]) -> dict[str, float]:
        """Tower -> score on the development part of its (first) teacher, with `settings` (place -> value)."""
        teachers = {tower: self.registry.teachers_of(tower)[0] for tower in towers}
        sets = [part for place, value in settings.items() for part in ("--set", f"{place}={value}")]
        chosen = [*self.common, "--stage", stage, "--models", ",".join(teachers.values()), *sets]
        host("run", *chosen)
        units = {unit["name"]: unit for unit in json.loads(host("plan", *chosen, "--json"))["units"]}
        core = self.folder(units, "core" if stage == "train" else "core-control", "core")
        return {
            tower: self.score(f"{core}+{self.folder(units, stage, tower)}", teacher)
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


class Search:
    """What is chosen so far, and what every run reached."""

    def __init__(self, bench: Bench, options: Iterable[Option]) -> None:
        self.bench, self.options = bench, list(options)
        self.chosen = {option.place: option.values[0] for option in self.options}
        self.rows: list[list[Any]] = []
        self._searched: list[str] = []
        self._reached: dict[str, dict[str, float]] = {}

    def choose(self, option: Option) -> None:
        """Tries each value of an option with all that is chosen already; the best stays (of equals the first)."""
        self._searched.append(option.place)
        reached = {value: self._try(option, value) for value in option.values}
        self.chosen[option.place] = max(option.values, key=lambda value: self._worth(reached[value]))

    @property
    def found(self) -> dict[str, Any]:
        """Place -> the best value, of the options that were searched."""
        return {place: self.chosen[place] for place in self._searched}

    def _try(self, option: Option, value: Any) -> dict[str, float]:
        settings = {**self.chosen, option.place: value}
        key = json.dumps([option.stage, option.towers, settings])
        if key not in self._reached:
            self._reached[key] = self.bench.scores(option.stage, option.towers, settings)
        scores = self._reached[key]
        written = "  ".join(f"{tower} {score:.4f}" for tower, score in scores.items())
        self.rows.append([option.name, option.place.rpartition(".")[2], value, scores])
        print(f"{option.name:16s} {option.place:48s} {value!s:8s} {written}", flush=True)
        return scores

    def _worth(self, scores: Mapping[str, float]) -> float:
        return statistics.mean(self.bench.better(tower) * score for tower, score in scores.items())


def main() -> None:
    """Tries, prints, chooses."""
    given = arguments(
        __doc__,
        registry={"type": Path, "help": "registry file (default: ./registry.yaml, else the starter's)"},
        only={"default": "", "help": "options whose name begins so"},
        write={"type": Path, "help": "JSON file that keeps what was chosen (what it holds of others stays)"},
        **{"run-dir": {"type": Path, "default": Path("recipe-run"), "help": "where the runs are kept"}},
    )
    every = (option for option in (quick() if given.quick else options()) if option.name.startswith(given.only))
    search = Search(Bench(given.registry, given.run_dir, QUICK if given.quick else []), every)
    for option in search.options:
        search.choose(option)
    if given.write:
        keep(given.write, search)
    print()
    rows = [[place, str(value)] for place, value in search.found.items()]
    finish(["best on development", "value"], rows, {"runs": len(search.rows), "chosen": search.found}, given)


def keep(file: Path, search: Search) -> None:
    """Adds what a search found to a file: a line for each option, a line for each run."""
    before = json.loads(file.read_text()) if file.exists() else {"chosen": {}, "runs": []}
    names = {row[0] for row in search.rows}
    runs = [row for row in before["runs"] if row[0] not in names] + search.rows
    found = {"chosen": before["chosen"] | search.found, "runs": runs}
    file.write_text(spread(found, found))


if __name__ == "__main__":
    main()
