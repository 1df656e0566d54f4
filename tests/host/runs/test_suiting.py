"""What is refused before anything runs: teachers that no tower can learn from, checkpoints without weights."""

import json
import re
from concurrent.futures import Executor, Future

import pytest
from nexus_specs import NexusError

from nexus_host.planning.settling import Settled
from nexus_host.running.describing import describe
from nexus_host.running.preparing import planned
from nexus_host.showing.teacher_view import held, teachers_facts

EMBEDDING = (
    "teachers.digits.tower: the tower 'digits' (component image) gives label, the teacher gives embedding. Install a "
    "plugin whose tower gives embedding (`nexus list towers`), write one (`nexus new-plugin tower NAME`), or take the "
    "teacher out of the run (`status: disabled`)."
)


def spoil(toy, name, *words):
    (toy.folder / f"{name}.toy").write_text(" ".join([name, *words]))


@pytest.fixture
def plan(toy, requested):
    def make(*sets, **fields):
        request = requested(*sets)
        return planned(request.registry, request.plugins, toy.run_dir, here=True, **fields)

    return make


def test_a_teacher_that_its_tower_cannot_learn_from_is_refused(toy):
    spoil(toy, "digits", "gives:embedding")
    for command in ("plan", "run"):
        out, err = toy.command(command=command, code=2)
        assert EMBEDDING in " ".join(err.split())
        assert err.startswith(f"{toy.path}:"), "the first mistake begins as the others do"
        assert out == ""
    assert not (toy.run_dir / "artefacts").exists()
    assert not toy.status()["units"]


def test_what_a_teacher_gives_can_be_recorded_without_a_tower(toy, plan):
    spoil(toy, "digits", "gives:embedding")
    assert "extract/digits" in {task.unit.name for task in plan(target="extract").tasks}
    with pytest.raises(NexusError, match="gives label, the teacher gives embedding"):
        plan(target="train")


def test_a_teacher_to_whom_no_loss_applies_is_refused(toy, plan):
    toy.registry["losses"] = [{"name": "kl", "teachers": ["prose", "digits"]}]
    with pytest.raises(NexusError, match=r"teachers\.code: no loss applies to it in train\. Name it in one of"):
        plan()
    assert plan(target="extract").tasks
    assert plan(target="core").tasks
    toy.registry["losses"] = [{"name": "kl", "weight": 0}]
    with pytest.raises(NexusError, match=r"teachers\.prose: no loss applies"):
        plan()
    toy.registry["losses"] = []
    with pytest.raises(NexusError, match=r"teachers\.prose: no loss applies to it in train\."):
        plan()


def test_a_core_teacher_that_does_not_read_what_the_core_reads_is_refused(toy, plan):
    toy.registry["student"]["core_teachers"] = ["digits"]
    with pytest.raises(NexusError, match=r"student\.core_teachers: 'digits' takes image and cannot teach the core"):
        plan()


def test_a_tower_that_would_suit_is_named(toy, plan):
    spoil(toy, "prose", "gives:label")
    toy.registry["towers"]["prose"]["component"] = "text"
    with pytest.raises(NexusError, match=r"\(component text\) gives text, the teacher gives label\. Install"):
        plan()
    spoil(toy, "digits", "gives:text", "takes:text")
    with pytest.raises(NexusError, match=r"takes image, the teacher takes text\. Choose the component text for it"):
        plan()


def test_a_tower_that_takes_nothing_of_what_the_teacher_takes_is_refused(toy, plan):
    spoil(toy, "digits", "gives:text")
    toy.registry["towers"]["digits"]["component"] = "text"
    with pytest.raises(NexusError, match=r"takes text, the teacher takes image\. Install a plugin whose"):
        plan()


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file(toy, plan):
    spoil(toy, "prose", "damaged")
    spoil(toy, "digits", "gives:embedding")
    (toy.folder / "code-train.txt").unlink()
    (toy.folder / "digits-held_out.txt").unlink()
    with pytest.raises(NexusError) as caught:
        plan()
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "teachers.prose.source", "teachers.digits.tower", "data.code", "data.digits",
    ]  # fmt: skip
    assert caught.value.exit_code == 2
    assert "is damaged. Fetch it again." in lines[0]


def test_only_the_chosen_teachers_count(toy):
    spoil(toy, "digits", "gives:embedding")
    toy.command("--models", "prose", command="plan")


def test_a_checkpoint_without_weights_is_planned_and_not_run(toy):
    spoil(toy, "code", "missing:weights")
    out, _ = toy.command(command="plan")
    assert "code: still missing: weights. Put it there before `nexus run`." in out
    out, _ = toy.command("--json", command="plan")
    assert {each["name"]: each["missing"] for each in json.loads(out)["teachers"]}["code"] == ["weights"]
    _, err = toy.command(code=2)
    assert "teachers.code.source: '" in err
    assert "code.toy' lacks weights: it can be inspected and planned with, and not run." in err
    assert not toy.status()["units"]


LOSS = """
from nexus_specs import LossComponent, hookimpl
@hookimpl
def nexus_losses():
    yield LossComponent(name="gone", target="acme_losses.nothing:Loss", summary="L")
"""


def test_a_loss_whose_module_is_not_there_is_refused_before_anything_runs(toy, tmp_path, monkeypatch):
    info = tmp_path / "site" / "acme_losses-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-losses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nexus.plugins]\nacme = acme_losses\n")
    (tmp_path / "site" / "acme_losses.py").write_text(LOSS)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    toy.registry["losses"] = [{"name": "kl"}, {"name": "gone"}]
    toy.command(command="plan")
    _, err = toy.command(code=2)
    assert "losses.1.name: The loss 'gone' of plugin 'acme' (acme-losses 1.0) is said to be" in err
    assert f"{toy.path}:" in err
    assert not toy.status()["units"]


def test_other_things_may_be_missing(toy):
    spoil(toy, "code", "missing:tokenizer.json")
    out, _ = toy.command(command="plan")
    assert "code: still missing: tokenizer.json." in out
    toy.command("--stage", "profile")


class Nobody(Executor):
    """Answers no question."""

    def submit(self, call, /, *arguments, **named):
        raise AssertionError("asked")


def test_what_a_teacher_is_is_asked_once(toy, requested, plan):
    plan()
    known = describe(requested().registry, {}, Nobody(), ())
    assert {name: each.gives for name, each in known.blueprints.items()} == dict.fromkeys(
        ("prose", "code", "digits"), ("text", "label")
    )
    spoil(toy, "code", "changed")
    with pytest.raises(AssertionError, match="asked"):
        describe(requested().registry, {}, Nobody(), ())


def test_what_lies_elsewhere_is_asked_again_unless_it_is_pinned(toy, requested):
    toy.registry["teachers"]["prose"]["source"] = "hub:acme/prose.toy"
    registry = requested(models=["prose"]).registry
    told = []

    class Asked(Executor):
        def submit(self, call, source, /, *arguments, **named):
            told.append(source)
            future = Future()
            future.set_result(call(str(toy.folder / "code.toy"), ()))
            return future

    for settled in ({}, {}, *[{"prose": Settled(source="acme/prose@0123.toy")}] * 2):
        assert describe(registry, settled, Asked(), ()).blueprints["prose"].gives == ("text", "label")
    assert told == ["hub:acme/prose.toy", "hub:acme/prose.toy", "acme/prose@0123.toy"]


def test_what_each_teacher_takes_is_summed_up(toy):
    facts = json.loads(toy.command("--json", command="plan")[0])["teachers"]
    assert [each["name"] for each in facts] == ["prose", "code", "digits"]
    assert facts[0] == {
        "name": "prose", "units": ["profile/prose", "extract/prose"], "passes": 4, "read": 1020, "fetched": 0,
        "disk": 2000, "memory": 1000, "seconds": 2.0, "how": "toy", "micro_batch": 8, "missing": [],
        "ways": [{"stages": ["profile", "extract"], "how": "toy", "micro_batch": 8}],
    }  # fmt: skip
    out, _ = toy.command(command="plan")
    (head,) = (line for line in out.splitlines() if line.startswith("teacher"))
    assert head.split() == ["teacher", "time", "passes", "read", "fetched", "memory", "disk"]
    (row,) = (line for line in out.splitlines() if line.startswith("digits"))
    assert row.split() == ["digits", "2.0", "s", "4", "1.0", "KB", "0", "B", "1.0", "KB", "2.0", "KB"]
    assert "code, digits, prose: toy, 8 samples at a time." in out
    toy.command()
    assert json.loads(toy.command("--json", command="plan")[0])["teachers"] == []


def test_a_teacher_that_is_not_held_in_one_way_is_told_in_each():
    def unit(stage, how, name="tiny"):
        estimate = dict.fromkeys(("passes", "read", "fetched", "disk", "memory"), 1) | {"how": how}
        settled = {"residency": "auto", "quantise": "int8", "micro_batch": 8}
        known = {"name": f"{stage}/{name}", "stage": stage, "subject": name, "state": "run", "seconds": 1.0}
        return known | {"estimate": estimate, "settled": settled}

    whole, packed = "resident: everything in memory, {} MB", "resident int8: packed as it is loaded, 150 MB"
    units = [unit("profile", whole.format(55)), unit("score", whole.format(57)), unit("extract", packed)]
    assert held(teachers_facts([*units, unit("score", packed, "other")], {})) == [
        f"other: {packed}, 8 samples at a time.",
        f"tiny: profile, score: {whole.format(55)}, 8 samples at a time.",
        f"tiny: extract: {packed}, 8 samples at a time.",
    ]


def test_a_plan_that_takes_more_memory_than_it_may_says_so(toy):
    assert "Memory:" not in toy.command(command="plan")[0]
    out, _ = toy.command("--set", "run.memory=500", command="plan")
    assert re.search(r"Memory: \S+ takes 1\.0 KB, and 500 B is what it may take \(`run.memory`", out)
