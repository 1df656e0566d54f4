import os

from nexus_specs import (
    ArchitectureComponent,
    Component,
    LossComponent,
    MetricComponent,
    ReaderComponent,
    StageComponent,
    StudentComponent,
    TowerComponent,
    hookimpl,
)

OPTIONS = "nexus_toy.options:"
PARTS = "nexus_toy.parts:"
STAGES = "nexus_toy.stages:"


@hookimpl
def nexus_architectures():
    yield ArchitectureComponent(name="toy", target=PARTS + "Loader", summary="Opens toy files")


@hookimpl
def nexus_engines():
    yield Component(name="sli", target=PARTS + "Engine", summary="Measures a toy machine")


@hookimpl
def nexus_profilers():
    yield Component(name="niwt", target=PARTS + "Profiler", summary="Profiles nothing")


@hookimpl
def nexus_readers():
    yield ReaderComponent(
        name="lines", target=PARTS + "Lines", summary="Lines of a text", options=OPTIONS + "Lines", suffixes=(".txt",)
    )


@hookimpl
def nexus_metrics():
    yield MetricComponent(name="length", target=PARTS + "Length", summary="Counts characters")


@hookimpl
def nexus_losses():
    yield LossComponent(
        name="kl", target=PARTS + "Loss", summary="Reads logits", options=OPTIONS + "Loss", records=("logits",)
    )
    yield LossComponent(
        name="anchor", target=PARTS + "Loss", summary="Reads states", options=OPTIONS + "Loss", records=("states",)
    )
    yield LossComponent(name="plain", target=PARTS + "Loss", summary="Reads nothing", options=OPTIONS + "Loss")


@hookimpl
def nexus_towers():
    yield TowerComponent(
        name="text",
        target=PARTS + "Tower",
        summary="Takes text",
        options=OPTIONS + "Tower",
        takes=("text",),
        gives=("text",),
        metric="length",
    )
    yield TowerComponent(
        name="image",
        target=PARTS + "Tower",
        summary="Takes images",
        options=OPTIONS + "Tower",
        takes=("image",),
        gives=("label",),
        metric="length",
    )


@hookimpl
def nexus_students():
    yield StudentComponent(name="nexus", target=PARTS + "Student", summary="A toy student", options=OPTIONS + "Student")


@hookimpl
def nexus_stages():
    def stage(name, scope, target="Work", **fields):
        return StageComponent(name=name, scope=scope, target=STAGES + target, summary="Does toy work", **fields)

    work = OPTIONS + "Work"
    yield stage(
        "profile",
        "teacher",
        uses=("architecture",),
        fields=("source",),
        reads=("train",),
        opens_teachers=True,
        options=work,
    )
    yield stage(
        "extract",
        "teacher",
        needs=("profile",),
        fields=("source",),
        uses=("architecture",),
        reads=("train",),
        records=True,
        opens_teachers=True,
        options=work,
    )
    yield stage(
        "core",
        "core",
        needs=("profile", "extract"),
        uses=("student",),
        fields=("core", "tier"),
        reads=("train",),
        options=work,
    )
    yield stage(
        "train", "tower", needs=("core", "extract"), uses=("tower", "student", "loss"), reads=("train",), options=work
    )
    yield stage(
        "control",
        "tower",
        needs=("core",),
        uses=("tower", "student", "loss:plain"),
        reads=("train",),
        inherits="train",
        options=work,
    )
    yield stage("assemble", "student", needs=("core", "train"), uses=("student", "tower"), options=work)
    yield stage(
        "score",
        "teacher",
        target="Score",
        fields=("source", "capability"),
        uses=("architecture", "metric"),
        reads=("held_out",),
        options=work,
    )
    yield stage(
        "release",
        "student",
        needs=("assemble", "score", "control"),
        fields=("share",),
        publishes="release",
        options=OPTIONS + "Release",
    )


@hookimpl
def nexus_executors():
    yield Component(name="inline", target="nexus_toy.executor:Inline", summary="Runs units in this process")


@hookimpl
def nexus_unit_started(unit, run):
    if os.environ.get("TOY_EVENTS"):
        raise RuntimeError("a bad observer")


@hookimpl
def nexus_unit_progressed(unit, run, done, total, figures):
    if os.environ.get("TOY_EVENTS"):
        (run / "progressed.txt").open("a").write(f"{unit.name} {done}/{total} {sorted(figures)}\n")


@hookimpl
def nexus_unit_finished(unit, run, error):
    if os.environ.get("TOY_EVENTS"):
        (run / "finished.txt").open("a").write(f"{unit.name} {error}\n")
