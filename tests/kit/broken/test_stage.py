"""A good stage, and broken ones that the kit rejects with advice."""

import json
import random
from pathlib import Path

import pytest
from nexus_specs import Estimate, Sample
from nexus_specs.testing import LocalContext, StageTests

DECLARED = {"needs": ("core",), "uses": ("metric",), "reads": ("train",), "fields": ("share",)}


class Good:
    """Counts what it may see."""

    def estimate(self, context):
        return Estimate(seconds=1.0, how="counts samples")

    def run(self, context):
        metric, share = context.chosen("metric"), context.card["share"]
        count = sum(1 for _ in context.samples("train"))
        core = sorted(path.name for path in context.inputs("core")["core"].iterdir())
        self.write(context, {"metric": metric, "share": share, "count": count, "core": core})

    def write(self, context, found):
        with context.write("count.json") as path:
            path.write_text(json.dumps(found, sort_keys=True), encoding="utf-8")


class NeedsArgument(Good):
    def __init__(self, options):
        self.options = options


class NoEstimate:
    run = Good.run
    write = Good.write


class NumberEstimate(Good):
    def estimate(self, context):
        return 1.0


class WritesInEstimate(Good):
    def estimate(self, context):
        self.write(context, {})
        return super().estimate(context)


class HeldOut(Good):
    def run(self, context):
        self.write(context, [sample.key for sample in context.samples("held_out")])


class UndeclaredStage(Good):
    def run(self, context):
        self.write(context, sorted(context.inputs("extract")))


class UndeclaredKind(Good):
    def run(self, context):
        self.write(context, str(context.make("reader", "jsonl")))


class UndeclaredField(Good):
    def run(self, context):
        self.write(context, context.card["source"])


class OpensTeacher(Good):
    def run(self, context):
        self.write(context, str(context.open("somewhere")))


class ReadsRecords(Good):
    def run(self, context):
        self.write(context, list(context.records))


class AsksInDisguise(Good):
    def run(self, context):
        part = "held" + "_out"
        self.write(context, len(list(context.samples(part))))


class WritesNothing(Good):
    def write(self, context, found):
        Path(context.folder / "elsewhere.json").write_text("{}", encoding="utf-8")


class WritesPath(Good):
    def write(self, context, found):
        super().write(context, {"folder": str(context.folder)})


class DrawsAtRandom(Good):
    def write(self, context, found):
        super().write(context, {"draw": random.random()})


BROKEN = [
    (NeedsArgument, "Read `context.options` in `run`"),
    (NoEstimate, "The stage has no method `estimate`"),
    (NumberEstimate, "Return a nexus_specs.Estimate"),
    (WritesInEstimate, "Write in `run` alone"),
    (HeldOut, "asks for 'held_out', which its descriptor does not name. Add it to `reads`"),
    (UndeclaredStage, "Add it to `needs`"),
    (UndeclaredKind, "Add it to `uses`"),
    (UndeclaredField, "Add it to `fields`"),
    (OpensTeacher, "asks for 'architecture'"),
    (ReadsRecords, "Declare `records=True`"),
    (AsksInDisguise, "Add it to `reads`"),
    (WritesNothing, "with context.write(name) as path"),
    (WritesPath, "Write names relative to the artefact"),
    (DrawsAtRandom, "Seed what is drawn with `context.seed`"),
]
MISDECLARED = [
    ({"scope": "layer"}, "Allowed: teacher, core, tower, student"),
    ({"reads": ("test",)}, "Allowed: train, development, held_out"),
    ({"uses": ("optimizer",)}, "Allowed: architecture, engine"),
    ({"needs": ("probe",)}, "needs itself"),
]


def made(suite, component, **declared):
    def context(self, folder):
        (folder / "core").mkdir(parents=True)
        (folder / "core" / "config.json").touch()
        return LocalContext(
            folder,
            self.stage_descriptor(),
            card={"share": 0.95},
            made={"metric": "accuracy"},
            artefacts={"core": {"core": folder / "core"}},
            data={"train": [Sample(key="a", fields={"text": "a"})]},
        )

    return suite(StageTests, component, declared=DECLARED | declared, context=context)


def test_good_stage_is_accepted(suite, accepted):
    accepted(made(suite, Good))


def test_stage_without_context_is_judged_by_its_source(suite, accepted):
    accepted(suite(StageTests, Good, declared=DECLARED))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_stage_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)


@pytest.mark.parametrize(("declared", "advice"), MISDECLARED)
def test_declaration_of_what_is_not_there_is_rejected(declared, advice, suite, rejected):
    rejected(made(suite, Good, **declared), advice)
