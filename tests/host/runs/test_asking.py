"""What is asked before anything runs, and remembered: how teachers are held, what units cost, what the machine is."""

import dataclasses
import json
import os
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest
from nexus_specs import Budget, Origin, plain

from nexus_host.cli.run import preview
from nexus_host.planning.resources import keep, recorded, unmeasured
from nexus_host.planning.settling import pins
from nexus_host.running import worker
from nexus_host.running.asking import machine_of, settle, with_estimates
from nexus_host.running.preparing import planned

LIMITS = Budget(memory=1000, disk=10**9)


class Answers(Executor):
    """Gives the same answer to every call."""

    def __init__(self, answer):
        self.answer = answer

    def submit(self, call, /, *arguments, **named):
        future = Future()
        if isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future


class Engine:
    """An engine of a plugin, as a worker would make it."""

    def __init__(self, **said):
        self.said = said

    def place(self, blueprint, budget, tokens=0.0):
        return dataclasses.replace(budget, **self.said)


def settled(requested, toy, executor, *sets, memory=10**9):
    registry = requested(*sets).registry
    return settle(registry, toy.run_dir, dataclasses.replace(LIMITS, memory=memory), executor, ())


def test_what_the_registry_leaves_open_is_settled_and_hashed(toy, requested, plan):
    def facts(*sets, answer, **more):
        found, _ = settled(requested, toy, Answers(answer), *sets)
        (task,) = (task for task in plan(*sets, settled=found, **more).tasks if task.unit.name == "extract/prose")
        return task

    one = facts(answer={"micro_batch": 2, "quantise": ""})
    assert one.facts["budget"] == {"precision": "float32", "micro_batch": 2, "quantise": ""}
    assert (one.recipe.budget.residency, one.recipe.budget.micro_batch) == ("auto", 2)
    told = facts("run.micro_batch=4", "run.quantise=nf4", "run.residency=stream", answer=None)
    assert (told.facts["budget"]["micro_batch"], told.facts["budget"]["quantise"]) == (4, "nf4")
    assert told.recipe.budget.residency == "stream"
    assert told.unit.fingerprint != one.unit.fingerprint
    own = facts("teachers.prose.micro_batch=3", "teachers.prose.quantise=none", "run.quantise=nf4", answer=None)
    assert own.facts["budget"] == {"precision": "float32", "micro_batch": 3, "quantise": ""}
    (core,) = (task for task in plan("run.quantise=nf4").tasks if task.unit.stage == "core")
    assert core.facts["budget"]["quantise"] == "", "no unit but one that opens a teacher knows of it"


def test_an_answer_is_kept_and_asked_again_where_it_may_differ(toy, requested):
    first, asked = settled(requested, toy, Answers({"micro_batch": 2, "quantise": ""}))
    assert {name: each.micro_batch for name, each in first.items()} == {"prose": 2, "code": 2, "digits": 2}
    nobody = Answers(RuntimeError("asked again"))
    assert settled(requested, toy, nobody)[0] == first
    other = Answers({"micro_batch": 1, "quantise": ""})
    assert settled(requested, toy, other, memory=10**6)[0]["prose"].micro_batch == 1
    toy.run_dir.mkdir()
    (toy.run_dir / "pins.json").write_text(json.dumps({"settled": pins(first, asked)}))
    assert settled(requested, toy, nobody, memory=10**7)[0] == first, "a run directory keeps what it began with"
    with pytest.raises(RuntimeError, match="asked again"):
        settled(requested, toy, nobody, "run.quantise=nf4")


def test_nobody_is_asked_where_nothing_is_open(toy, requested):
    assert settled(requested, toy, Answers(RuntimeError()), "run.micro_batch=4", "run.quantise=none") == ({}, {})


@pytest.mark.parametrize("answer", [None, {}])
def test_an_engine_that_cannot_tell_leaves_the_defaults(toy, requested, plan, answer):
    found, _ = settled(requested, toy, Answers(answer), "run.quantise=auto")
    (task,) = (each for each in plan("run.quantise=auto", settled=found).tasks if each.unit.name == "profile/prose")
    assert task.facts["budget"] == {"precision": "float32", "micro_batch": 8, "quantise": ""}


def test_a_worker_asks_the_engine(toy, requested, monkeypatch):
    source = str(toy.folder / "prose.toy")
    assert worker.place(source, (), "sli", {}, LIMITS) == {}, "the toy engine has no opinion"
    monkeypatch.setattr("nexus_toy.parts.Engine.place", Engine(micro_batch=5).place, raising=False)
    assert worker.place(source, (), "sli", {}, LIMITS) == {"micro_batch": 5, "quantise": ""}
    assert worker.place("nowhere", (), "sli", {}, LIMITS) is None
    origin = Origin(source="acme/x@1.toy", commit="1", bytes=5, missing=3)
    monkeypatch.setattr("nexus_toy.parts.Loader.origin", lambda self, source: origin, raising=False)
    worker.forget()
    assert worker.place("acme/x.toy", (), "sli", {}, LIMITS) == {
        "source": "acme/x@1.toy", "missing": 3, "micro_batch": 5, "quantise": "",
    }  # fmt: skip


def test_a_source_on_a_hub_is_pinned_and_what_is_missing_is_shown(toy, requested, plan):
    toy.registry["teachers"]["prose"] |= {"source": "hub:acme/prose.toy", "revision": "main"}
    far = Answers({"source": "acme/prose@0123.toy", "missing": 4000})
    first, asked = settled(requested, toy, far)
    assert (asked["prose"].source, first["prose"].source) == ("hub:acme/prose.toy@main", "acme/prose@0123.toy")
    found = dataclasses.replace(plan(settled=first), settled=first)
    (task,) = (each for each in found.tasks if each.unit.name == "profile/prose")
    assert task.recipe.card["source"] == task.facts["card"]["source"] == "acme/prose@0123.toy"
    fetched = {name: each.fetched for name, each in with_estimates(found, Answers(None), ()).estimates.items()}
    assert fetched["profile/prose"] == 4000
    assert "extract/prose" not in fetched, "what the first fetched is here"
    toy.run_dir.mkdir()
    (toy.run_dir / "pins.json").write_text(json.dumps({"settled": pins(first, asked)}))
    later = Answers({"source": "acme/prose@4567.toy", "missing": 0})
    again, _ = settled(requested, toy, later)
    assert (again["prose"].source, again["prose"].missing) == ("acme/prose@0123.toy", 0)


def test_a_plan_that_was_made_before_asks_no_worker(toy, requested):
    request = requested()
    first = planned(request.registry, request.plugins, toy.run_dir)
    nobody = Answers(RuntimeError("asked"))
    assert machine_of(toy.run_dir, request.registry, nobody, (), measure=False).processor == "toy"
    again = with_estimates(dataclasses.replace(first, estimates={}), nobody, ())
    assert again.estimates == first.estimates
    small = dataclasses.replace(first, estimates={}, budget=dataclasses.replace(first.budget, memory=1500))
    with pytest.raises(RuntimeError, match="asked"):
        with_estimates(small, nobody, ())


def test_what_a_unit_reads_of_others_counts(toy, requested):
    request = requested()
    found = planned(request.registry, request.plugins, toy.run_dir)
    reads = {task.unit.name: (found.estimates[task.unit.name].read, len(task.inputs)) for task in found.tasks}
    assert all(read == 10 + 1000 * inputs for read, inputs in reads.values()), "10 of its own, 1000 of each input"


def test_the_best_of_two_measurements_is_remembered(toy, requested):
    registry = requested().registry
    slow = dataclasses.replace(unmeasured(), device="cpu", gigaflops=10.0, read_rate=5.0)
    fast = dataclasses.replace(slow, gigaflops=40.0, read_rate=1.0)
    for each in (fast, slow):
        assert machine_of(toy.run_dir, registry, Answers(each), ()) == each
    known = machine_of(toy.run_dir, registry, Answers(None), (), measure=False)
    assert (known.gigaflops, known.read_rate) == (40.0, 5.0)


def test_the_machine_is_measured_once_for_a_run_directory(toy, requested):
    registry = requested().registry
    measured = dataclasses.replace(unmeasured(), processor="fast")
    assert machine_of(toy.run_dir, registry, Answers(measured), ()) == measured
    assert recorded(toy.run_dir) is None  # a plan writes nothing
    toy.run_dir.mkdir()
    machine_of(toy.run_dir, registry, Answers(measured), (), measure=False)
    assert list(toy.run_dir.iterdir()) == [], "`nexus inspect` left a file where somebody worked"
    assert machine_of(toy.run_dir, registry, Answers(measured), ()) == measured
    assert machine_of(toy.run_dir, registry, Answers(RuntimeError()), ()) == measured
    keep(toy.run_dir, measured)
    assert plain(recorded(toy.run_dir)) == plain(measured)


def test_without_an_engine_the_machine_is_guessed(toy, requested):
    registry = requested().registry
    bare = dataclasses.replace(registry, plugins=SimpleNamespace(components=lambda kind: {}))
    bare = SimpleNamespace(choices=registry.choices, plugins=bare.plugins)
    assert machine_of(toy.run_dir, bare, Answers(None), ()) == dataclasses.replace(unmeasured(), memory=ANY)


class _Any:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


ANY = _Any()


@pytest.mark.parametrize("answer", [None, TimeoutError(), BrokenProcessPool()])
def test_stages_that_cannot_tell_are_left_out_of_the_estimates(plan, answer):
    assert with_estimates(plan(target="profile"), Answers(answer), ()).estimates == {}


def test_a_plan_is_shown_after_a_teacher_was_added(toy, requested, capfd):
    request = requested()
    preview(request.registry, request.plugins, toy.run_dir)
    assert "18 units to run, 0 cached" in capfd.readouterr().out
    assert planned(request.registry, request.plugins, toy.run_dir, target="profile").estimates
    assert not Path(toy.run_dir).exists()


def test_a_checkpoint_is_looked_at_once_for_a_plan_and_anew_for_the_next(toy, requested, monkeypatch):
    looked, inner = [], worker.Plugins.inspect
    every = [str(toy.folder / f"{name}.toy") for name in ("prose", "code", "digits")]
    monkeypatch.setattr(worker.Plugins, "inspect", lambda self, source: looked.append(source) or inner(self, source))

    def estimate(self, context):
        for card in (context.card, *context.teachers.values()):
            context._lookup.inspect(card["source"]) if "source" in card else None

    monkeypatch.setattr("nexus_toy.stages.Work.estimate", estimate)
    for times in (1, 2):
        request = requested(f"run.memory={times}GB")
        assert planned(request.registry, request.plugins, toy.run_dir, here=True).tasks
        assert sorted(looked) == sorted(every * times)


def test_a_plan_made_here_starts_no_process_and_prints_nothing(toy, requested, monkeypatch, capfd):
    request = requested()
    monkeypatch.setattr("nexus_host.running.pool.Workers.submit", None)
    monkeypatch.setattr("nexus_toy.stages.Work.estimate", lambda self, context: os.write(1, b"noise") and 1 / 0)
    capfd.readouterr()
    here = planned(request.registry, request.plugins, toy.run_dir, here=True)
    assert capfd.readouterr() == ("", "")
    assert len(here.tasks) == 18
