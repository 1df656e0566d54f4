"""Graphs, contents, explanations, priorities and limits, without running anything."""

import dataclasses
import json
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest
from nexus_specs import Budget, Estimate, NexusError, Origin, StageComponent, plain

from nexus_host.discovery import Provider
from nexus_host.planning import graph, make_plan, preview
from nexus_host.planning.contents import Contents
from nexus_host.planning.explain import differences
from nexus_host.planning.graph import build
from nexus_host.planning.resources import budget, keep, recorded, side_by_side, threads, unmeasured, workers
from nexus_host.planning.settling import pins
from nexus_host.running import worker
from nexus_host.running.asking import machine_of, planned, settle, with_estimates
from nexus_host.running.order import fits, priorities

LIMITS = Budget(memory=1000, disk=10**9)


@pytest.fixture
def plan(toy, requested):
    toy.registry["run"]["components"] = {"executor": "inline"}

    def make(*sets, models=(), **fields):
        request = requested(*sets, models=models)
        return make_plan(request.registry, request.plugins, toy.run_dir, budget=LIMITS, **fields)

    return make


def stage(name, scope="teacher", needs=()):
    return StageComponent(name=name, target="x:y", summary="Does nothing", scope=scope, needs=needs)


def stages(*all_of_them):
    return {each.name: each for each in all_of_them}


@pytest.fixture
def subjects(plan):
    return plan(target="profile").subjects


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (stages(stage("a", needs=("b",))), "needs the stage 'b', which no plugin offers"),
        (stages(stage("a", needs=("b",)), stage("b", "tower")), "works on a teacher and cannot need 'b'"),
        (stages(stage("a", needs=("b",)), stage("b", needs=("a",))), "need one another in a circle: a, b|b, a"),
    ],
)
def test_stages_that_cannot_be_put_in_order_are_named(subjects, found, message):
    with pytest.raises(NexusError, match=message):
        build(found, subjects)


def test_a_stage_that_is_not_wanted_may_be_broken(subjects):
    found = stages(stage("good"), stage("bad", needs=("nowhere",)))
    assert {name for name, _ in build(found, subjects, "good")} == {"good"}
    assert graph.build(found, subjects, "good")["good", "prose"] == ()


def test_core_teachers_may_be_named_be_none_or_start_from_a_checkpoint(toy, plan):
    assert plan().subjects.core_teachers == ("prose", "code")
    toy.registry["student"]["core_teachers"] = ["code"]
    assert plan().subjects.core_teachers == ("code",)
    toy.registry["student"] = {"component": "nexus", "core": str(toy.folder / "prose.toy")}
    found = plan()
    assert found.subjects.core_teachers == ()
    (core,) = (task for task in found.tasks if task.unit.stage == "core")
    assert core.inputs == ()
    assert core.facts["card"]["core"].startswith("sha256:")


def test_a_tower_that_is_not_installed_matters_only_to_its_own_teacher(toy, plan):
    toy.registry["towers"]["digits"]["component"] = "nowhere"
    toy.registry["teachers"]["digits"]["status"] = "ready"
    assert plan(models=["prose"]).subjects.core_teachers == ("prose",)
    toy.registry["student"]["core_teachers"] = []
    assert plan(models=["prose"]).subjects.core_teachers == ()


def test_a_pin_counts_until_its_teacher_is_gone(toy, plan):
    toy.run_dir.mkdir()
    (toy.run_dir / "pins.json").write_text('{"core_teachers": ["code"]}')
    assert plan().subjects.core_teachers == ("code",)
    toy.registry["teachers"]["code"]["status"] = "available"
    assert plan().subjects.core_teachers == ("prose",)


def test_a_location_of_a_component_counts_by_its_content(toy, plan):
    decoder = toy.folder / "decoder.bin"
    decoder.write_text("one")
    toy.registry["towers"]["prose"]["options"] = {"decoder": str(decoder)}

    def seen():
        (task,) = (task for task in plan().tasks if task.unit.name == "train/prose")
        return task.facts["components"]["tower of prose"]["options"]["decoder"], task.unit.fingerprint

    first = seen()
    assert first[0].startswith("sha256:")
    moved = toy.folder / "moved.bin"
    decoder.rename(moved)
    toy.registry["towers"]["prose"]["options"] = {"decoder": str(moved)}
    assert seen() == first
    moved.write_text("two")
    assert seen() != first


def test_missing_data_are_an_error_that_says_where_they_are_named(toy, plan):
    (toy.folder / "code-train.txt").unlink()
    with pytest.raises(NexusError, match=r"registry\.yaml:\d+:3: data\.code: cannot be read: .*code-train"):
        plan()


def test_a_version_counts_and_the_source_where_it_is_editable(tmp_path, alone):
    path = tmp_path / "package" / "module.py"
    path.parent.mkdir()
    path.write_text("a = 1")
    provider = Provider(plugin="x", distribution="nexus-x", version="1.0", editable=False, files=(path,))
    assert Contents().version(provider) == "nexus-x 1.0"
    editable = dataclasses.replace(provider, editable=True)
    first = Contents().version(editable)
    assert first.startswith("nexus-x 1.0 (source ")
    path.write_text("a = 2")
    assert Contents().version(editable) != first


def test_sources_that_are_not_here_count_by_name(alone, tmp_path):
    contents = Contents()
    assert contents.source("hub:someone/model") == "hub:someone/model"
    assert contents.source("package:nowhere_at_all/x") == "package:nowhere_at_all/x"
    (tmp_path / "a").write_text("a")
    both = contents.source(f"{tmp_path / 'a'}+{tmp_path / 'a'}")
    assert both.count("sha256:") == 2
    assert contents.source(f"{tmp_path / 'a'}#tower") == contents.source(str(tmp_path / "a")) + "#tower"
    (tmp_path / "a+b").write_text("a")
    assert contents.source(str(tmp_path / "a+b")) == contents.source(str(tmp_path / "a"))


def test_differences_are_said_in_words():
    old = {
        "options": {"steps": 400, "names": ["a", "b"]},
        "inputs": {"extract/prose": "1"},
        "source": "sha256:1",
        "seed": 0,
    }
    new = {"options": {"steps": 600, "names": [], "text": ""}, "inputs": {"extract/prose": "2"}, "source": "sha256:2"}
    assert differences(old, new) == [
        "options.steps 400 -> 600",
        "options.names a, b -> none",
        "options.text is new",
        "input extract/prose changed",
        "source changed",
        "seed is gone",
    ]
    versions = [
        {"a": {"version": f"nexus-x {text}"}, "b": {"version": f"nexus-x {text}"}}
        for text in ("1 (source 0)", "1 (source 1)", "2")
    ]
    assert differences(versions[0], versions[1]) == ["code of nexus-x changed"]
    loaders = [{"components": {"architectures": {"x": f"nexus-x 1 (source {source})"}}} for source in ("0", "1")]
    assert differences(*loaders) == ["code of nexus-x changed"]
    assert differences(versions[0], versions[2]) == ["nexus-x 1 -> nexus-x 2"]
    (line,) = differences({"options": {"a": {"x": 1}}}, {"options": {"a": "y" * 100}})
    assert line == f"options.a x: 1 -> {'y' * 59}…"


def test_the_longest_chain_goes_first(plan):
    found = plan()
    estimates = {
        task.unit.name: Estimate(seconds=10.0 if task.unit.name == "train/code" else 1.0) for task in found.tasks
    }
    order = priorities(dataclasses.replace(found, estimates=estimates))
    assert order["train/code"] > order["control/code"] > order["release/student"]
    assert order["train/code"] > order["train/prose"]
    assert order["profile/prose"] == max(order.values())


def test_units_run_side_by_side_as_far_as_the_memory_goes(plan):
    found = plan()
    tasks = {task.unit.name: task for task in found.tasks}

    def with_memory(**memory):
        named = {name.replace("_", "/"): Estimate(memory=value) for name, value in memory.items()}
        return dataclasses.replace(found, estimates=named)

    train, control, first, second = (
        tasks[name] for name in ("train/code", "control/code", "profile/code", "profile/prose")
    )
    assert fits(train, [control], found)
    assert fits(train, [], with_memory(train_code=5000))
    assert not fits(train, [control], with_memory(train_code=600, control_code=600))
    assert fits(train, [first], found)
    assert not fits(second, [first], found)  # both open a teacher, and nobody knows how large
    assert fits(second, [first], with_memory(profile_code=200, profile_prose=200))
    assert not fits(second, [first], with_memory(profile_code=300, profile_prose=300))


def test_run_settings_become_limits(toy, requested, monkeypatch):
    machine = dataclasses.replace(unmeasured(), bfloat16=True, device="cuda", device_memory=1000)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    found = requested("run.workers=auto", "run.threads=2").registry
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**11))
    assert (workers(found), threads(found)) == (4, 2)
    assert side_by_side(requested("run.workers=auto").registry, machine) == 4
    assert side_by_side(requested("run.workers=6").registry, machine) == 6
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2 * 10**9))
    assert workers(found) == 2
    limits = budget(found, machine, toy.run_dir)
    assert (limits.precision, limits.device, limits.memory, limits.threads) == ("bfloat16", "cuda", 800, 2)
    told = requested(
        "run.precision=float32", "run.memory=1KB", "run.disk=2KB", "run.device=cpu", "run.threads=auto"
    ).registry
    limits = budget(told, machine, toy.run_dir)
    assert (limits.precision, limits.device, limits.memory, limits.disk, limits.threads) == (
        "float32",
        "cpu",
        1000,
        2000,
        1,
    )


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

    def place(self, blueprint, budget):
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
    worker.plugins.cache_clear()
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


@pytest.mark.parametrize("content", ["{", "{}", '["x", [1, 2], ["a"], ["key", {"of": 1}]]'])
def test_a_cache_file_that_is_not_ours_holds_no_answer(alone, tmp_path, content):
    from nexus_host.store import Answers as Kept

    path = tmp_path / "cache" / "answers.json"
    path.parent.mkdir()
    path.write_text(content)
    assert Kept("answers").get("question") is None
    kept = Kept("answers")
    kept.put({"q": 1}, {"a": 2})
    kept.save()
    assert Kept("answers").get({"q": 1}) == {"a": 2}


def test_the_oldest_answers_make_room(alone, monkeypatch):
    from nexus_host.store import answers

    monkeypatch.setattr(answers, "_MOST", 2)
    for number in range(3):
        kept = answers.Answers("few")
        kept.put(number, number)
        kept.save()
    assert [answers.Answers("few").get(number) for number in range(3)] == [None, 1, 2]
    monkeypatch.setenv("NEXUS_CACHE", "/proc/nowhere")
    unkept = answers.Answers("few")
    unkept.put(1, 1)
    unkept.save()


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
