"""What this distribution offers."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_specs import Component, StageComponent, hookimpl

OPTIONS = "nexus_observe.options"


@hookimpl
def nexus_stages() -> Iterator[StageComponent]:
    """Three stages open a teacher, one the student."""
    yield StageComponent(
        name="profile",
        target="nexus_observe.profiling:ProfileStage",
        summary="Which layers of a teacher carry the capability, and in which directions",
        scope="teacher",
        uses=("architecture", "engine", "profiler", "metric"),
        fields=("source", "capability"),
        reads=("train",),
        opens_teachers=True,
    )
    yield StageComponent(
        name="extract",
        target="nexus_observe.extracting:ExtractStage",
        options=f"{OPTIONS}:ExtractOptions",
        summary="A teacher's outputs on its training data, as shards: what the losses need, and nothing else",
        scope="teacher",
        needs=("profile",),
        uses=("architecture", "engine"),
        fields=("source",),
        reads=("train",),
        records=True,
        opens_teachers=True,
    )
    yield StageComponent(
        name="score",
        target="nexus_observe.scoring:ScoreStage",
        summary="A teacher's score on the held-out part, sample by sample, and the floor",
        scope="teacher",
        uses=("architecture", "engine", "metric"),
        fields=("source", "chat"),
        reads=("train", "held_out"),
        opens_teachers=True,
    )
    yield StageComponent(
        name="evaluate",
        target="nexus_observe.evaluating:EvaluateStage",
        options=f"{OPTIONS}:EvaluateOptions",
        summary="How much of each teacher the student kept, with intervals, beside a control without a teacher",
        scope="student",
        needs=("profile", "assemble", "core-control", "control", "score"),
        uses=("architecture", "engine", "metric", "reader"),
        fields=("capability", "tower"),
        reads=("held_out",),
    )


@hookimpl
def nexus_commands() -> Iterator[Component]:
    """Two commands that need a release alone, and one that needs a teacher alone."""
    yield Component(
        name="verify",
        target="nexus_observe.verifying:Verify",
        options=f"{OPTIONS}:VerifyOptions",
        summary="Scores a copy of a release again, offline and with its teachers out of reach, and compares",
    )
    yield Component(
        name="evaluate",
        target="nexus_observe.verifying:Evaluate",
        options=f"{OPTIONS}:EvaluateReleaseOptions",
        summary="Scores a release on the held-out data that its manifest names",
    )
    yield Component(
        name="taps",
        target="nexus_observe.tapping:Taps",
        options=f"{OPTIONS}:TapsOptions",
        summary="Records the states of chosen layers of one teacher as shards, with no registry",
    )
