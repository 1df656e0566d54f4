"""The stages: core and core-control, train and control. A control is the same but for its teacher.

What the control keeps: architecture, initial weights, samples, batches and their order, number of steps. What it
loses: every record of a teacher; its loss is cross-entropy on the text, or on the labels that the data carry. A
sample without a label stands in the same batches and gives no gradient there; both optimisers are invariant to the
scale of the gradient, so rare labels do not make small steps. Its core is the control's as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import Context, Estimate, Link, NexusError, Profile, Student
from nexus_torch.profiles import read_profile
from nexus_torch.shards import Shards

from . import amount
from .anchors import link
from .artefact import publish, write_training
from .devices import apart
from .lessons import Lessons, Term
from .loop import Loop
from .options import TrainOptions

AUTO = "auto"


class _Training:
    """What the four have in common."""

    taught = True
    """Whether it reads the records of teachers."""

    def __init__(self, **options: Any) -> None:
        """Options reach a stage through its context."""

    def estimate(self, context: Context) -> Estimate:
        """By steps, samples and the machine's rate; how long it took is known once it ran."""
        return amount.estimate(context)

    def lessons(self, context: Context, students: Mapping[str, Student], seed: int) -> list[Lessons]:
        """One teacher after another, in the order of their names."""
        profiles, options = _profiles(context), _options(context)
        shards = context.inputs("extract") if self.taught else {}
        found = []
        for teacher, student in sorted(students.items()):
            pair = link(profiles[teacher], student.blueprint)
            records = Shards(shards[teacher]) if self.taught else None
            samples = list(context.samples("train", teacher))
            found.append(Lessons(pair, student, samples, records, _terms(context, teacher, pair), options, seed))
        return found

    def train(self, context: Context, students: Mapping[str, Student], seed: int) -> None:
        """Runs the loop over all lessons and writes its curve."""
        curve = Loop(context, self.lessons(context, students, seed), _options(context)).run()
        write_training(context, curve)


class Core(_Training):
    """Kind "stage": the core from its core teachers, or from a checkpoint."""

    def run(self, context: Context) -> None:
        """Writes the core's folder."""
        with apart(context.seed, context.unit.subject, context.budget) as seed:
            maker, profiles = context.chosen("student"), _profiles(context)
            source = str(context.card.get("core") or AUTO)
            students = maker.create(list(profiles.values())) if source == AUTO else {}
            if students:
                self.train(context, students, seed)
                publish(context, next(iter(students.values())).save)
            else:
                publish(context, lambda folder: maker.adopt("" if source == AUTO else source, folder))


class CoreControl(Core):
    """Kind "stage": the same core without a teacher."""

    taught = False


class Train(_Training):
    """Kind "stage": a tower on the frozen core."""

    core = "core"
    """The stage whose core it stands on."""

    def run(self, context: Context) -> None:
        """Writes `tower/`."""
        with apart(context.seed, context.unit.subject, context.budget) as seed:
            student = self._student(context)
            self.train(context, dict.fromkeys(context.teachers, student), seed)
            with context.write("tower") as folder:
                folder.mkdir(parents=True, exist_ok=True)
                student.save(folder)

    def _student(self, context: Context) -> Student:
        maker, profiles = context.chosen("student"), _profiles(context)
        (folder,) = context.inputs(self.core).values()
        (choice,) = context.choices("tower")
        subject = context.unit.subject
        student: Student = maker.load(
            folder, context.chosen("tower"), list(profiles.values()), name=subject, component=choice.name
        )
        return student


class Control(Train):
    """Kind "stage": the same tower without a teacher, on the core without a teacher."""

    core = "core-control"
    taught = False


def _profiles(context: Context) -> dict[str, Profile]:
    """Of the teachers that feed the unit, by name."""
    return {teacher: read_profile(Path(folder)) for teacher, folder in sorted(context.inputs("profile").items())}


def _options(context: Context) -> TrainOptions:
    known = {each.name for each in dataclasses.fields(TrainOptions)}
    return TrainOptions(**{name: value for name, value in context.options.items() if name in known})


def _terms(context: Context, teacher: str, pair: Link) -> Sequence[Term]:
    """The losses that apply to a teacher, bound to it."""
    found = []
    for choice in context.choices("loss"):
        if choice.teachers and teacher not in choice.teachers:
            continue
        loss = context.make("loss", choice.name, **choice.options)
        term = Term(name=choice.name, weight=choice.weight, bound=loss.bind(pair), taps=tuple(loss.taps(pair)))
        found.append(term)
    if not found or math.isclose(sum(term.weight for term in found), 0):
        raise NexusError(f"No loss applies to '{teacher}'. Name one in the registry: losses: [{{name: forward_kl}}]")
    return found
