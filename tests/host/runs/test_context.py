"""What a unit sees, and what it is refused."""

import dataclasses

import pytest
from nexus_specs import Budget, Choice, NexusError, NotDeclared, Unit

from nexus_host.discovery import Plugins
from nexus_host.running import worker
from nexus_host.running.context import UnitContext
from nexus_host.running.job import Job
from nexus_host.store import Store
from nexus_host.store.lock import STATUS
from nexus_host.store.progress import asked_to_pause, read_progress

UNIT = Unit(stage="work", subject="prose", fingerprint="f" * 12)


@pytest.fixture
def job(toy):
    reader = Choice(kind="reader", name="lines", options={"path": str(toy.folder / "prose-train.txt")})
    return Job(
        run=str(toy.run_dir),
        without=(),
        unit=UNIT,
        options={},
        card={},
        teachers={},
        towers={},
        records=(),
        choices=(
            ("prose", Choice(kind="tower", name="text", options={"rank": 2, "decoder": ""})),
            ("one", Choice(kind="metric", name="length")),
            ("two", Choice(kind="metric", name="length", weight=2.0)),
        ),
        readers={"one": reader, "two": reader},
        uses=("tower", "metric", "loss:kl", "profiler", "architecture"),
        reads=("train",),
        needs={"core": {"core": str(toy.run_dir / "artefacts" / "core" / "core" / "x")}},
        budget=Budget(),
        seed=0,
        samples=2,
        versions={},
        facts={},
    )


@pytest.fixture
def context(job, toy):
    return UnitContext(job, Plugins.discover(), Store(toy.run_dir).staging(UNIT))


def test_declared_components_are_made_and_others_refused(context):
    assert context.make("tower", "text", rank=3).options == {"rank": 3, "decoder": ""}
    assert context.chosen("tower").options["rank"] == 2
    assert set(context.components("tower")) == {"text", "image"}
    assert context.make("loss", "kl").options == {"temperature": 1.0}
    assert "kl" in context.components("loss")
    for refused in (
        lambda: context.make("engine", "sli"),
        lambda: context.make("loss", "plain"),
        lambda: context.choices("student"),
        lambda: context.components("reader"),
    ):
        with pytest.raises(NotDeclared, match="has not declared"):
            refused()


def test_choices_are_of_one_subject_or_of_all_that_feed_it(context):
    assert [choice.weight for choice in context.choices("metric")] == [1.0, 2.0]
    assert [choice.weight for choice in context.choices("metric", "two")] == [2.0]
    assert context.choices("metric", "three") == ()
    with pytest.raises(NexusError, match="names no profiler for 'prose'"):
        context.chosen("profiler")


def test_checkpoints_open_where_the_loader_is_declared(context, job, toy):
    source = str(toy.folder / "prose.toy")
    assert context.open(source) == "prose"
    assert context.inspect(source).family == "toy"
    closed = UnitContext(dataclasses.replace(job, uses=()), Plugins.discover(), None)
    for refused in (closed.open, closed.inspect):
        with pytest.raises(NotDeclared):
            refused(source)


def test_samples_are_of_a_declared_part_and_a_teacher_that_feeds_it(context, job):
    assert len(list(context.samples("train", "one"))) == 2
    with pytest.raises(NexusError, match="say whose samples it wants"):
        context.samples("train")
    with pytest.raises(NotDeclared, match="'three' does not feed"):
        context.samples("train", "three")
    with pytest.raises(NotDeclared, match="'held_out' in `reads`"):
        context.samples("held_out", "one")
    alone = dataclasses.replace(job, readers={"one": job.readers["one"]}, samples=0)
    assert len(list(UnitContext(alone, Plugins.discover(), None).samples("train"))) == 5


def test_inputs_are_of_declared_stages_and_verified(context, job, toy):
    with pytest.raises(NotDeclared, match="'train' in `needs`"):
        context.inputs("train")
    with pytest.raises(NexusError, match="is damaged"):
        context.inputs("core")
    assert UnitContext(job, Plugins.discover(), None).inputs("core") == {}


def test_writing_is_whole_or_not_at_all_and_inside(context, job):
    def interrupted():
        with context.write("a/b.txt") as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path_of(context, "a/b.txt").exists()
    with context.write("a/b.txt") as path:
        path.write_text("whole")
    assert path_of(context, "a/b.txt").read_text() == "whole"
    for name, message in (("../out", "outside its artefact"), ("", "outside"), ("empty", "wrote nothing")):
        with pytest.raises(NexusError, match=message), context.write(name):
            pass
    with pytest.raises(NexusError, match="must not write"), UnitContext(job, Plugins.discover(), None).write("x"):
        pass


def path_of(context, name):
    return context._staging / name


def test_progress_is_noted_sparingly_and_without_what_json_has_not(context, toy):
    assert context.report(1, 10, loss=1.0, bad=float("nan"))
    assert context.report(2, 10, loss=0.5)
    assert read_progress(toy.run_dir, UNIT) == {"done": 1, "total": 10, "figures": {"loss": 1.0}}
    (toy.run_dir / "pause").touch()
    assert not context.report(10, 10)
    assert read_progress(toy.run_dir, UNIT)["done"] == 10
    assert asked_to_pause(toy.run_dir)
    assert not (toy.run_dir / STATUS).exists()


def test_an_estimate_that_is_none_is_none(job, alone, monkeypatch):
    class Odd:
        def estimate(self, context):
            return {"not": "an estimate"}

    monkeypatch.setattr(worker, "_stage", lambda job: Odd())
    assert worker.estimate(job) is None
