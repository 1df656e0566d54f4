"""The four stages on tiny models, with the real engine, profiler and metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_observe import evaluating, plugin
from nexus_observe.batches import whole_batches
from nexus_observe.extracting import ExtractStage, wanted
from nexus_observe.numbers import numbers
from nexus_observe.profiling import ProfileStage, checked
from nexus_observe.scoring import ScoreStage, number
from nexus_specs import (
    Budget,
    Choice,
    Estimate,
    Installed,
    NexusError,
    Paused,
    Profile,
    Tap,
    Verdict,
    fraction,
    record,
    resolve,
)
from nexus_specs.testing import ListSink, blueprint
from nexus_torch.bases import project
from nexus_torch.profiles import preprocessor, read_bases, read_profile
from nexus_torch.shards import Shards

STAGES = {each.name: each for each in plugin.nexus_stages()}


@pytest.mark.parametrize("capability", ["prose", "digits"])
def test_a_profile_is_all_that_later_stages_need(bench: Any, capability: str) -> None:
    folder = bench.run("profile", capability)
    profile = read_profile(folder)
    assert (profile.teacher, profile.capability) == (capability, capability)
    assert (preprocessor(profile) / "config.json").is_file()
    assert not list(preprocessor(profile).glob("*.safetensors"))
    assert read_bases(profile)
    assert len(json.loads((folder / "tensors.json").read_text())["tensors"]) > 10
    assert len(json.loads((folder / "table.json").read_text())["rows"]) == 3


def observed(bench: Any, capability: str, taps: list[str]) -> ListSink:
    sink, lookup = ListSink(), Installed()
    checkpoint = lookup.open(str(bench.sources[capability]))
    with lookup.make("engine", "sli").load(checkpoint, Budget()) as teacher:
        teacher.observe(bench.data[capability], [Tap(path=path) for path in taps], sink)
    return sink


def test_shards_hold_what_the_teacher_said_of_text(bench: Any) -> None:
    bases = read_bases(read_profile(bench.run("profile", "prose")))
    path = next(iter(bases))
    shards = Shards(bench.run("extract", "prose", options={"exact": 4, "sampled": 4, "per_shard": 4}))
    sink = observed(bench, "prose", ["tokens", "logits", path])
    assert set(shards.keys) == {sample.key for sample in bench.data["prose"]}
    for sample in bench.data["prose"]:
        signal = shards.signal([sample.key])
        assert torch.equal(signal.tokens[0], sink.value(sample.key, "tokens"))
        top = sink.value(sample.key, "logits").softmax(-1).topk(4)
        torch.testing.assert_close(signal.outputs["probabilities"][0, :, :4], top.values, atol=1e-3, rtol=0)
        assert float((signal.outputs["probabilities"].sum(-1) - 1).abs().max()) < 5e-3
        expected = project(sink.value(sample.key, path), bases[path])
        assert float((signal.states[path][0] - expected).abs().max()) <= float(expected.abs().max()) / 127


def test_shards_hold_the_scores_of_classes(bench: Any) -> None:
    bench.run("profile", "digits")
    shards = Shards(bench.run("extract", "digits"))
    sink = observed(bench, "digits", ["output"])
    keys = [sample.key for sample in bench.data["digits"]][:3]
    expected = torch.stack([sink.value(key, "output") for key in keys])
    torch.testing.assert_close(shards.signal(keys).outputs["output"], expected)


def test_only_what_is_asked_for_is_recorded(bench: Any) -> None:
    bench.run("profile", "prose")
    assert Shards(bench.run("extract", "prose", records=())).names == ("spans", "tokens")
    with pytest.raises(NexusError, match=r"'attention'.*logits, states"):
        bench.run("extract", "prose", records=("attention",))
    assert wanted(blueprint(gives=("label",)), (), {})[0].path == "output"


def test_a_paused_extraction_goes_on_to_the_same_bytes(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_observe.batches.TOGETHER", 1)
    bench.run("profile", "prose")
    options = {"per_shard": 2, "exact": 2, "sampled": 2}
    how = {"options": options, "budget": Budget(scratch=tmp_path / "scratch", micro_batch=2)}
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Paused):
        ExtractStage().run(bench.context("extract", "prose", pause_after=2, **how))
    assert list((tmp_path / "scratch" / "shards").glob("*.safetensors"))
    resumed = bench.run("extract", "prose", **how)
    how["budget"] = Budget(scratch=tmp_path / "other", micro_batch=2)
    fresh = bench.context("extract", "prose", tmp_path / "fresh", **how)
    ExtractStage().run(fresh)
    assert {path.name: path.read_bytes() for path in resumed.iterdir()} == {
        path.name: path.read_bytes() for path in fresh.artefact.iterdir()
    }


def test_a_score_has_rows_by_key(bench: Any) -> None:
    found = json.loads((bench.run("score", "digits") / "score.json").read_text())
    labelled = {sample.key for sample in bench.data["digits"] if "label" in sample.fields}
    assert {key for key, row in found["rows"].items() if row} == labelled
    assert found["items"] == len(labelled)
    assert 0 <= found["score"] <= 1


def test_data_that_cannot_be_judged_are_named(bench: Any) -> None:
    with pytest.raises(NexusError, match="held-out part of 'digits' is empty"):
        bench.run("score", "digits", data={"train": [], "held_out": []})
    unlabelled = [sample for sample in bench.data["digits"] if "label" not in sample.fields]
    with pytest.raises(NexusError, match="judge none of the 3"):
        bench.run("score", "digits", data={"train": [], "held_out": unlabelled})


def evaluated(bench: Any, model: Path, control: Path) -> Path:
    for teacher in ("prose", "digits"):
        bench.run("profile", teacher)
        bench.run("score", teacher)
    bench.artefacts |= {
        "assemble": {"student": model.parent},
        "core-control": {"core": control},
        "control": {"prose": bench.sources["prose-student"], "digits": bench.sources["digits-student"]},
    }
    teachers = {
        name: {"tower": name, "capability": name} for name in ("prose", "digits")
    }
    named = {
        "engine": [Choice(kind="engine", name="sli")],
        "metric/prose": [Choice(kind="metric", name="bits_per_byte")],
        "metric/digits": [Choice(kind="metric", name="accuracy")],
        "reader/prose": [Choice(kind="reader", name="text", options={"path": "/there/a.txt", "limit": 9})],
        "reader/digits": [Choice(kind="reader", name="images", options={"path": "b"})],
    }
    rows = {f"held_out/{name}": bench.data[name] for name in teachers}
    more = {"made": {"reader/prose": Hashed("prose"), "reader/digits": Hashed("digits")}, "options": {"draws": 200}}
    return bench.run("evaluate", "student", teachers=teachers, named=named, data=rows, **more)


@pytest.mark.parametrize("found", [0.5, None, [], [(1.0,), (0.0,)], [("a",)], [0.5]])
def test_a_metric_gives_a_row_of_numbers_for_each_sample(found: Any) -> None:
    assert numbers(Hashed(""), [(1, 0.5)]) == (1.0, 0.5)
    assert numbers(Hashed(""), [()]) == ()
    with pytest.raises(NexusError, match=r"`measure` of the metric Hashed gave .* for one sample"):
        numbers(Hashed(""), found)


@pytest.mark.parametrize("found", [math.nan, math.inf, None, "good"])
def test_a_score_is_a_number(bench: Any, found: Any) -> None:
    context = bench.context("score", "digits")
    assert number(1, "floor", context) == 1.0
    with pytest.raises(NexusError, match=r"The metric 'accuracy' gives .* as the floor of 'digits'"):
        number(found, "floor", context)


@pytest.mark.parametrize("found", [None, {}, "another"])
def test_a_profile_is_one_of_this_teacher(bench: Any, found: Any) -> None:
    if found == "another":
        blueprint = Installed().inspect(str(bench.sources["digits"]))
        found = Profile(teacher="somebody", capability="x", blueprint=blueprint, layers=())
    with pytest.raises(NexusError, match=r"The profiler 'niwt' gave a .* here 'digits'"):
        checked(found, bench.context("profile", "digits"))


class Hashed:
    """A reader of which only the hash is asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fingerprint(self, split: str) -> str:
        return f"{split} of {self.name}"


def student(folder: Path, towers: dict[str, Path]) -> Path:
    """A folder that looks like an assembled model: one tower answers for it, the others are in `towers`."""
    (folder / "towers").mkdir(parents=True)
    for name, source in towers.items():
        (folder / "towers" / name).symlink_to(source, target_is_directory=True)
    for path in next(iter(towers.values())).iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_a_student_that_is_its_teacher_keeps_everything(bench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    towers = {"prose": bench.sources["prose"], "digits": bench.sources["digits"]}
    model = student(tmp_path / "artefact" / "model", towers)
    routed(monkeypatch, model, bench)
    folder = evaluated(bench, model, tmp_path)
    found = json.loads((folder / "verdicts.json").read_text())
    for data in found["capabilities"]:
        verdict = record(Verdict, data)
        assert verdict.student_score == verdict.forced_score == verdict.teacher_score
        assert fraction(verdict.student_score, verdict.teacher_score, verdict.floor) == pytest.approx(1)
        assert not verdict.teacher_knows, "drawn at random"
        assert not verdict.passed(0.01)
        if verdict.gap_judged:
            assert verdict.gap_closed == pytest.approx(1)
    assert found["parameters"]["towers"]["digits"] == found["parameters"]["teachers"]["digits"]
    assert str(tmp_path) not in (folder / "verdicts.json").read_text()
    prose = record(Verdict, next(each for each in found["capabilities"] if each["teacher"] == "prose"))
    assert prose.data.options == {"path": "a.txt", "limit": 9}, "no folder of the machine that made it"
    assert prose.data_hash == "held_out of prose"
    assert len(json.loads((folder / "table.json").read_text())["rows"]) == 2


def routed(monkeypatch: Any, model: Path, bench: Any) -> None:
    """Without the student's router: which tower answers when none is forced, by the data that are measured."""


    plain = evaluating.EvaluateStage._rows

    def rows(self: Any, context: Any, sources: dict[str, str], step: int) -> Any:
        chosen = {name: f"{model}#{name}" if each == str(model) else each for name, each in sources.items()}
        return plain(self, context, chosen, step)

    monkeypatch.setattr(evaluating.EvaluateStage, "_rows", rows)


def test_another_student_keeps_less(bench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    towers = {"prose": bench.sources["prose-student"], "digits": bench.sources["digits-student"]}
    model = student(tmp_path / "artefact" / "model", towers)
    routed(monkeypatch, model, bench)
    found = json.loads((evaluated(bench, model, tmp_path) / "verdicts.json").read_text())
    verdicts = {data["capability"]: record(Verdict, data) for data in found["capabilities"]}
    prose = verdicts["prose"]
    assert prose.student_score == prose.control_score != prose.teacher_score
    assert prose.retention_low <= prose.retention_high
    assert math.isnan(prose.retention), "the teacher was drawn at random"
    assert prose.gap_closed is None or prose.gap_closed == 0


class Grouping:
    """A student that groups samples by who answers them, as Nexus's does; the rest is a real checkpoint."""

    def __init__(self, checkpoint: Any, answers: Callable[[Any], str]) -> None:
        self.checkpoint, self.answers = checkpoint, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.checkpoint, name)

    def groups(self, samples: Sequence[Any]) -> list[list[int]]:
        names = [self.answers(sample) for sample in samples]
        return [[at for at, each in enumerate(names) if each == name] for name in dict.fromkeys(names)]

    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        return {**self.checkpoint.collate(samples), "tower": self.answers(samples[0])}


def test_one_tower_is_told_from_several_and_from_another(bench: Any) -> None:
    samples = bench.data["digits"]
    checkpoint = Installed().open(str(bench.sources["digits"]))
    assert evaluating.only(Grouping(checkpoint, lambda _: "digits"), samples, "digits")
    assert not evaluating.only(Grouping(checkpoint, lambda _: "prose"), samples, "digits")
    assert not evaluating.only(Grouping(checkpoint, lambda each: each.key), samples, "digits")
    assert not evaluating.only(checkpoint, samples, "digits"), "nothing is known of a loader that does not group"
    assert not evaluating.only(Grouping(checkpoint, lambda _: "digits"), [], "digits")


def test_rows_of_a_tower_that_the_router_always_chose_count_as_forced(
    bench: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    towers = {"prose": bench.sources["prose"], "digits": bench.sources["digits"]}
    model = student(tmp_path / "artefact" / "model", towers)
    routed(monkeypatch, model, bench)
    slow = (evaluated(bench, model, tmp_path) / "verdicts.json").read_bytes()
    asked: list[str] = []
    rows = evaluating.EvaluateStage._rows

    def counted(self: Any, context: Any, sources: dict[str, str], step: int) -> Any:
        asked.extend(name for name in sources if step == 1)
        return rows(self, context, sources, step)

    monkeypatch.setattr(evaluating.EvaluateStage, "_rows", counted)
    monkeypatch.setattr(evaluating, "alike", lambda *_: ["prose"])
    assert (evaluated(bench, model, tmp_path) / "verdicts.json").read_bytes() == slow
    assert asked == ["digits"]


@pytest.mark.parametrize(("stage", "wanted"), [("profile", "float32"), ("score", "float32"), ("extract", "bfloat16")])
def test_only_records_for_training_are_made_in_half_precision(
    bench: Any, stage: str, wanted: str, tmp_path: Path, monkeypatch: Any
) -> None:
    seen: list[str] = []
    load = Sli.load
    monkeypatch.setattr(Sli, "load", lambda self, *given: (seen.append(given[1].precision), load(self, *given))[1])
    if stage == "extract":
        bench.run("profile", "prose")
        seen.clear()
    bench.run(stage, "prose", budget=Budget(scratch=tmp_path / "scratch", precision="bfloat16"))
    assert seen == [wanted]


def test_estimates_come_from_the_blueprint(bench: Any) -> None:
    for stage in STAGES.values():
        if stage.scope == "teacher":
            assert resolve(stage.target)().estimate(bench.context(stage.name, "digits")).seconds > 0


@pytest.mark.parametrize(("subject", "records"), [("prose", ("logits", "states")), ("digits", ("logits",))])
def test_the_room_that_shards_will_take_is_known_before(bench: Any, subject: str, records: tuple[str, ...]) -> None:
    before = ExtractStage().estimate(bench.context("extract", subject, records=records)).disk
    bench.run("profile", subject)
    expected = ExtractStage().estimate(bench.context("extract", subject, records=records)).disk
    folder = bench.run("extract", subject, records=records)
    taken = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert taken / 3 < expected <= before < 10 * taken


def test_a_slow_machine_counts_a_small_corpus_through_too(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_observe.amount.PATIENCE", -1.0)
    assert "at least" not in ExtractStage().estimate(bench.context("extract", "digits")).how


def test_an_estimate_counts_every_reading_of_a_streamed_teacher(bench: Any, sources: Mapping[str, Path]) -> None:
    blueprint = Installed().inspect(str(sources["prose"]))

    def estimate(residency: Any, disk: int, **more: Any) -> Estimate:
        budget = Budget(memory=10**9, residency=residency, disk=disk)
        return ProfileStage().estimate(bench.context("profile", "prose", budget=budget, **more))

    resident, kept, again = estimate("resident", 10**9), estimate("stream", 10**9), estimate("stream", 1000)
    assert (resident.read, kept.read, again.read) == (blueprint.bytes, blueprint.bytes, 2 * blueprint.bytes)
    assert (resident.passes, kept.passes, again.passes) == (3, 2, 3), "three ablated layers as halves, and states"
    assert kept.disk > again.disk, "states wait on the disk instead"
    assert estimate("stream", 10**9, made={"profiler": object()}).passes == 2, "one that says nothing of its work"


def test_what_is_judged_is_estimated_as_it_runs(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    estimate = Sli.estimate

    def noted(self: Sli, blueprint: Any, samples: int, edits: int, budget: Budget, tokens: float = 0.0) -> Estimate:
        asked.append(budget.precision)
        return estimate(self, blueprint, samples, edits, budget, tokens)

    monkeypatch.setattr(Sli, "estimate", noted)
    for stage, precision in (("profile", "float32"), ("extract", "bfloat16"), ("score", "float32")):
        asked.clear()
        resolve(STAGES[stage].target)().estimate(bench.context(stage, "prose", budget=Budget(precision="bfloat16")))
        assert set(asked) == {precision}


def test_a_shard_holds_whole_groups_of_batches(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_observe.batches.TOGETHER", 1)
    bench.run("profile", "prose")
    folder = bench.run("extract", "prose", budget=Budget(micro_batch=3), options={"per_shard": 2})
    assert len(list(folder.glob("*.safetensors"))) == 2, "nine samples, six in a shard"
    monkeypatch.undo()
    assert [whole_batches(256, micro) for micro in (1, 3, 8, 16)] == [256, 768, 256, 512]


def test_a_count_that_stops_early_says_so(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_observe.amount.MOST", 5)
    estimate = ScoreStage().estimate(bench.context("score", "prose"))
    assert estimate.how.endswith("at least 5 samples")
