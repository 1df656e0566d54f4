"""What runs again, and what does not: in this process, with the toy plugin's inline executor."""

import json

import pytest

from nexus_host.running.session import perform


@pytest.fixture
def run(toy, requested):
    """Runs the registry as it is now; gives the units by state."""
    toy.registry["run"]["components"] = {"executor": "inline"}

    def once(*sets, **fields):
        result = perform(requested(*sets, **fields))
        states = {name: entry.state for name, entry in result.board.entries.items()}
        once.code = result.code
        once.why = {task.unit.name: list(task.why) for task in result.board.plan.tasks}
        return {name for name, state in states.items() if state == "done"}, states

    return once


def contents(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def test_a_run_makes_a_release_and_the_next_one_nothing(toy, run):
    ran, _ = run()
    assert run.code == 0
    assert len(ran) == 3 * 3 + 1 + 3 * 2 + 2
    before = contents(toy.run_dir / "release")
    assert set(before) == {"result.json", "table.json", "folder/inner.txt"}
    assert run()[0] == set()
    assert contents(toy.run_dir / "release") == before


def test_a_new_teacher_runs_its_own_units_and_the_joint_ones(toy, run):
    run()
    toy.teacher("tones", "image")
    ran, _ = run()
    own = {f"{stage}/tones" for stage in ("profile", "extract", "score", "train", "control")}
    assert ran == own | {"assemble/student", "release/student"}
    assert sorted(run.why["release/student"]) == [
        "input assemble/student changed",
        "input control/tones is new",
        "input score/tones is new",
        "teachers.tones is new",
        "towers.tones is new",
    ]


def test_a_new_text_teacher_does_not_enter_the_pinned_core(toy, run):
    run()
    toy.teacher("poems")
    assert "core/core" not in run()[0]
    toy.registry["student"]["core_teachers"] = ["prose", "code", "poems"]
    ran, _ = run()
    assert "core/core" in ran
    assert "input extract/poems is new" in run.why["core/core"]


def test_another_loss_runs_what_uses_it_and_what_follows(toy, run):
    run()
    toy.registry["losses"] = [{"name": "kl", "options": {"temperature": 2.0}}]
    ran, _ = run()
    towers = {f"train/{each}" for each in ("prose", "code", "digits")}
    assert ran == towers | {"assemble/student", "release/student"}
    assert run.why["train/prose"] == ["loss kl.options.temperature 1.0 -> 2.0"]


def test_a_loss_that_needs_new_records_extracts_again_and_one_less_does_not(toy, run):
    run()
    toy.registry["losses"].append({"name": "anchor", "teachers": ["digits"]})
    ran, _ = run()
    assert ran == {"extract/digits", "train/digits", "assemble/student", "release/student"}
    assert run.why["extract/digits"] == ["records logits -> logits, states"]
    toy.registry["losses"] = [{"name": "plain"}]
    ran, _ = run()
    assert not any(name.startswith("extract") for name in ran)
    assert {"train/prose", "train/code", "train/digits"} < ran


def test_another_share_runs_the_release_alone(toy, run):
    run()
    toy.registry["teachers"]["prose"]["share"] = 0.5
    assert run()[0] == {"release/student"}
    assert run.why["release/student"] == ["teachers.prose.share 0.95 -> 0.5"]


def test_options_run_their_stage_again_and_neutral_ones_nothing(toy, run):
    run()
    toy.registry["towers"]["code"]["stages"] = {"train": {"steps": 4}}
    ran, _ = run()
    assert ran == {"train/code", "control/code", "assemble/student", "release/student"}  # the control inherits
    assert run.why["train/code"] == ["options.steps 3 -> 4"]
    toy.stage("train", tick=0.001)
    assert run("run.threads=2", "run.memory=8GB")[0] == set()


def test_the_seed_the_sample_size_and_the_sources_count(toy, run):
    run(target="profile")
    assert run(target="profile", samples=2)[0] == {"profile/prose", "profile/code", "profile/digits"}
    assert run.why["profile/code"] == ["samples 0 -> 2"]
    assert run("run.seed=1", target="profile")[0] == {"profile/prose", "profile/code", "profile/digits"}
    (toy.folder / "prose.toy").write_text("another teacher")
    (toy.folder / "code-train.txt").write_text("other data")
    (toy.folder / "code-held_out.txt").write_text("that profile does not see")
    assert run("run.seed=1", target="profile")[0] == {"profile/prose", "profile/code"}
    assert run.why["profile/prose"] == ["source changed"]
    assert run.why["profile/code"] == ["data code.train changed"]


def test_a_source_that_moves_is_the_same_source(toy, run):
    run(target="profile")
    moved = toy.folder / "moved.toy"
    (toy.folder / "prose.toy").rename(moved)
    toy.registry["teachers"]["prose"]["source"] = str(moved)
    assert run(target="profile")[0] == set()


def test_sample_size_limits_what_a_stage_sees(toy, run):
    run(target="profile", samples=2)
    (folder,) = (toy.run_dir / "artefacts" / "profile" / "code").iterdir()
    assert len(json.loads((folder / "result.json").read_text())["keys"]) == 2


def test_stage_and_models_choose_units(toy, run):
    _, states = run(target="train", models=["digits"])
    assert set(states) == {  # the core is taught by whoever can teach it
        *(f"{stage}/{teacher}" for stage in ("profile", "extract") for teacher in ("prose", "code", "digits")),
        "core/core",
        "train/digits",
    }
    _, states = run(models=["digits"])
    assert "score/digits" in states
    assert "score/prose" not in states
    assert states["core/core"] == "cached"


def test_going_back_to_an_earlier_setting_finds_its_artefacts(toy, run):
    run()
    toy.stage("train", steps=5)
    run()
    toy.stage("train", steps=3)
    assert run()[0] == set()
    assert json.loads((toy.run_dir / "published.json").read_text())["release"]


def test_a_failure_stops_only_what_depends_on_it(toy, run):
    toy.registry["towers"]["code"]["stages"] = {"train": {"fail": "error"}}
    _, states = run()
    assert run.code == 1
    assert states["train/code"] == "failed"
    assert states["control/code"] == "failed"
    assert states["train/prose"] == "done"
    assert states["release/student"] == states["assemble/student"] == "blocked"
    toy.registry["towers"]["code"]["stages"] = {}
    ran, _ = run()
    assert ran == {"train/code", "control/code", "assemble/student", "release/student"}
    assert run.why["train/code"] == ["never run"]


def test_what_a_stage_did_not_declare_is_refused(toy, run, capfd):
    toy.stage("profile", fail="peek")
    run(target="profile")
    assert "has not declared 'held_out' in `reads` (declared: train)" in capfd.readouterr().err


def test_observers_are_told_and_a_bad_one_stops_nothing(toy, run, monkeypatch, capfd):
    monkeypatch.setenv("TOY_EVENTS", "1")
    toy.registry["towers"]["digits"]["stages"] = {"train": {"fail": "error"}, "control": {"fail": ""}}
    run(target="train")
    finished = (toy.run_dir / "finished.txt").read_text().splitlines()
    assert "train/code " in finished
    assert "train/digits The toy was told to fail" in finished
    assert "train/code 3/3 ['loss']" in (toy.run_dir / "progressed.txt").read_text()
    assert capfd.readouterr().err.count("a bad observer") == 1
