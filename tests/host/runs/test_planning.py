"""Graphs, contents, explanations, priorities and limits, without running anything."""

import dataclasses
from types import SimpleNamespace

import pytest
from nexus_specs import Budget, Estimate, NexusError, StageComponent

from nexus_host.discovery import Provider
from nexus_host.planning import graph
from nexus_host.planning.contents import Contents
from nexus_host.planning.explain import differences
from nexus_host.planning.graph import build
from nexus_host.planning.resources import budget, side_by_side, threads, unmeasured, workers
from nexus_host.running.order import fits, priorities

LIMITS = Budget(memory=1000, disk=10**9)


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
