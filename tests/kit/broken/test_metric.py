"""A good metric, and broken ones that the kit rejects with advice."""

import random

import pytest
from nexus_specs import NexusError, Sample, Tap, content_key
from nexus_specs.testing import MetricTests


class Good:
    """The share of samples whose largest output is the label."""

    taps = (Tap(path="output"),)

    def measure(self, samples, outputs):
        pairs = zip(samples, outputs["output"], strict=True)
        return [self.row(sample, output) for sample, output in pairs]

    def row(self, sample, output):
        label = sample.fields.get("label")
        return () if label is None else (float(max(range(len(output)), key=output.__getitem__) == label),)

    def reduce(self, rows):
        hits = [row[0] for row in rows if row]
        return sum(hits) / len(hits) if hits else float("nan")

    def floor(self, train, held_out):
        labels = [sample.fields["label"] for sample in train if "label" in sample.fields]
        common = max(sorted(set(labels)), key=labels.count)
        return sum(sample.fields["label"] == common for sample in held_out) / len(held_out)


class WrongTaps(Good):
    taps = ("output",)


class OneRow(Good):
    def measure(self, samples, outputs):
        return [(self.reduce(super().measure(samples, outputs)),)]


class BareNumbers(Good):
    def row(self, sample, output):
        return float(len(super().row(sample, output)))


class NotFinite(Good):
    def row(self, sample, output):
        return (float("nan"),)


class Relative(Good):
    def measure(self, samples, outputs):
        return [(row[0] / len(samples),) if row else () for row in super().measure(samples, outputs)]


class Remembers(Good):
    count = 0

    def row(self, sample, output):
        Remembers.count += 1
        return (float(Remembers.count),) if "label" in sample.fields else ()


class LastRow(Good):
    def reduce(self, rows):
        return next((row[0] for row in rows if row), float("nan"))


class CountsEmpty(Good):
    def reduce(self, rows):
        return sum(row[0] for row in rows if row) / len(rows) if any(rows) else float("nan")


class CrashesOnEmpty(Good):
    def reduce(self, rows):
        return sum(row[0] for row in rows) / max(len(rows), 1) if rows else float("nan")


class DividesByZero(Good):
    def reduce(self, rows):
        hits = [row[0] for row in rows if row]
        return sum(hits) / len(hits)


class ZeroForNothing(Good):
    def reduce(self, rows):
        hits = [row[0] for row in rows if row]
        return sum(hits) / max(len(hits), 1)


class NeedsLabel(Good):
    def row(self, sample, output):
        return (float(max(range(len(output)), key=output.__getitem__) == sample.fields["label"]),)


class GuessesLabel(Good):
    def row(self, sample, output):
        return (float(max(range(len(output)), key=output.__getitem__) == sample.fields.get("label", -1)),)


class RandomFloor(Good):
    def floor(self, train, held_out):
        return random.random()


class NoFloor(Good):
    def floor(self, train, held_out):
        return None


BROKEN = [
    (WrongTaps, "Give a tuple of nexus_specs.Tap"),
    (OneRow, "Give one row for each"),
    (BareNumbers, "Give a list or tuple of numbers"),
    (NotFinite, "Call `float(…)` on tensors"),
    (Relative, "Let a row depend on its own sample only"),
    (Remembers, "keep no state between calls"),
    (LastRow, "not on their order"),
    (CountsEmpty, "Leave empty rows out of sum and count"),
    (CrashesOnEmpty, "Leave empty rows out: they are samples without a label"),
    (DividesByZero, "Return nan, or raise a NexusError"),
    (ZeroForNothing, "Nothing was measured: return nan"),
    (NeedsLabel, "Give an empty row for it"),
    (GuessesLabel, "Give an empty row where there is no label"),
    (RandomFloor, "without drawing at random"),
    (NoFloor, "Return the score of what knows nothing"),
]


class SaysNo(Good):
    """Good too: an error in words instead of nan."""

    def reduce(self, rows):
        if not any(rows):
            raise NexusError("No sample has a label. Give the data some.")
        return super().reduce(rows)


def made(suite, component):
    fields = [{"text": f"sample {number}", "label": number % 2} for number in (0, 1, 1, 0)]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    outputs = {"output": [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]}
    return suite(MetricTests, component, samples=lambda self: samples, outputs=lambda self: outputs)


@pytest.mark.parametrize("component", [Good, SaysNo])
def test_good_metric_is_accepted(component, suite, accepted):
    accepted(made(suite, component))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_metric_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)


def test_missing_outputs_are_named(suite, rejected):
    samples = [Sample(key=content_key({"text": "a"}), fields={"text": "a", "label": 0})]
    tests = suite(MetricTests, Good, samples=lambda self: samples, outputs=lambda self: {"logprob": [[0.0]]})
    rejected(tests, "Give those")
