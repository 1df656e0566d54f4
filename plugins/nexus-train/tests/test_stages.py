"""The four stages, whole: what they write, that they learn, that a kill changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from nexus_specs import Budget, Choice, NexusError, Paused, Sample

CASES = (("core", "core", ("code", "prose")), ("core-control", "core", ("code", "prose")),
         ("train", "prose", ("prose",)), ("train", "pets", ("pets",)), ("train", "both", ("prose", "code")),
         ("control", "prose", ("prose",)), ("control", "pets", ("pets",)))  # fmt: skip


@pytest.mark.parametrize(("stage", "subject", "teachers"), CASES)
def test_resuming_is_bit_equal_to_not_having_stopped(
    world: Any, files: Any, stage: str, subject: str, teachers: Any
) -> None:
    whole = files(world.run(world.context(stage, subject, teachers)))
    broken = world.context(stage, subject, teachers, checkpoint=2, with_pause_after=5)
    with pytest.raises(Paused, match="step 5 of 12"):
        world.run(broken)
    torch.rand(3)
    again = world.context(stage, subject, teachers, with_budget=broken.budget, with_pause_after=4)
    with pytest.raises(Paused, match="step 9 of 12"):
        world.run(again)
    last = world.run(world.context(stage, subject, teachers, with_budget=broken.budget))
    assert [report[0] for report in last.reports] == [10, 11, 12]
    assert files(last) == whole
    assert any(name.endswith("weights.safetensors") for name in whole)


def flipped(data: bytes) -> bytes:
    """One bit in the middle differs, which is among the tensors: safetensors reads such a file without a word."""
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-9], lambda data: b""], ids=["bit", "cut", "empty"])
@pytest.mark.parametrize(("damaged", "step"), [(1, 4), (2, 0)])
def test_a_damaged_state_is_found_and_the_one_before_it_used(
    world: Any, files: Any, damage: Any, damaged: int, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = files(world.run(world.context("train", "pets", ["pets"])))
    broken = world.context("train", "pets", ["pets"], checkpoint=2, with_pause_after=5)
    with pytest.raises(Paused):
        world.run(broken)
    states = sorted(broken.budget.scratch.glob("training-*.safetensors"), reverse=True)
    assert len(states) == 2, "the latest, and the one before it"
    for state in states[:damaged]:
        state.write_bytes(damage(state.read_bytes()))
    last = world.run(world.context("train", "pets", ["pets"], with_budget=broken.budget))
    assert last.reports[0][0] == step + 1
    assert "The state after step 5" in caplog.text
    assert files(last) == whole


def test_a_state_of_another_unit_is_not_taken_up(world: Any, files: Any) -> None:
    broken = world.context("train", "pets", ["pets"], with_pause_after=3)
    with pytest.raises(Paused):
        world.run(broken)
    other = world.context("train", "pets", ["pets"], with_budget=broken.budget)
    other.unit = type(other.unit)(stage="train", subject="pets", fingerprint="another")
    assert len(world.run(other).reports) == 12
    assert files(other) == files(world.run(world.context("train", "pets", ["pets"])))


@pytest.mark.parametrize(("stage", "subject", "teachers"), CASES[:6])
def test_the_loss_falls(world: Any, stage: str, subject: str, teachers: Any) -> None:
    context = world.run(world.context(stage, subject, teachers, steps=80, dropout=0.0, learning_rate=0.03))
    written = json.loads((context.artefact / "training.json").read_text())
    losses = [point["loss"] for point in written["curve"]]
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])
    table = json.loads((context.artefact / "table.json").read_text())
    assert table["columns"][:2] == ["step", "loss"]
    assert table["rows"][-1][0] == 80


def test_the_order_of_the_data_changes_nothing(world: Any, files: Any) -> None:
    first = files(world.run(world.context("train", "pets", ["pets"])))
    turned = {"train/pets": list(reversed(world.data["pets"]))}
    assert files(world.run(world.context("train", "pets", ["pets"], with_data=turned))) == first


def test_seed_and_precision_count(world: Any, files: Any, tmp_path: Any) -> None:
    found = [
        files(world.run(world.context("train", "prose", ["prose"], **changes)))["tower/weights.safetensors"]
        for changes in (
            {},
            {"with_seed": 1},
            {"with_budget": Budget(scratch=tmp_path, precision="bfloat16", threads=2)},
        )
    ]
    assert len(set(found)) == 3
    assert torch.get_num_threads() >= 1


def test_a_control_starts_as_its_student_and_sees_the_same_batches(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus_train.loop import Loop

    seen: dict[str, list] = {}
    step = Loop._step

    def spy(self: Any, number: int) -> None:
        lessons, place = self.lessons[self.turns[number][0]], self.turns[number][1]
        start = (
            {name: each.sum().item() for name, each in self.named.items() if "loss" not in name} if not number else {}
        )
        seen.setdefault(self.context.unit.stage, []).append((lessons.batch(place)[1].keys, start))
        step(self, number)

    monkeypatch.setattr(Loop, "_step", spy)
    for stage in ("train", "control"):
        world.run(world.context(stage, "pets", ["pets"]))
    assert seen["train"] == seen["control"]


def test_a_core_may_be_a_checkpoint_or_stay_untrained(world: Any, files: Any) -> None:
    taken = world.run(world.context("core", "core", ["prose"], with_card={"core": "some/where"}))
    assert files(taken) == {"core/source": b"some/where"}
    assert files(world.run(world.context("core-control", "core", []))) == {"core/source": b""}


def test_media_of_one_size_are_collated_once(world: Any) -> None:
    context = world.context("train", "pets", ["pets"], steps=30)
    world.run(context)
    assert context.made["student"].students["pets"].collated == 1
    small = world.context("train", "pets", ["pets"], cache=8)
    world.run(small)
    assert small.made["student"].students["pets"].collated == 13


def test_mistakes_are_said(world: Any) -> None:
    nothing = {"loss": [Choice(kind="loss", name="forward_kl", teachers=("code",))]}
    with pytest.raises(NexusError, match="No loss applies to 'prose'"):
        world.run(
            world.context(
                "train", "prose", ["prose"], with_named={**nothing, "tower": [Choice(kind="tower", name="toy")]}
            )
        )
    with pytest.raises(NexusError, match="no training samples"):
        world.run(world.context("train", "prose", ["prose"], with_data={}))
    with pytest.raises(NexusError, match="no sample"):
        world.run(world.context("train", "prose", ["prose"], with_data={"train/prose": world.data["code"]}))
    with pytest.raises(NexusError, match=r"loss of train/prose is nan at step \d+ .* Lower learning_rate"):
        world.run(
            world.context("train", "prose", ["prose"], learning_rate=float("nan"), matrix_learning_rate=float("nan"))
        )


def test_losses_from_which_nothing_is_learned_are_refused(world: Any) -> None:
    with torch.no_grad(), pytest.raises(NexusError, match=r"learn from 'prose': .* \(forward_kl, activation_anchor\)"):
        world.run(world.context("train", "prose", ["prose"]))


def test_weights_that_the_last_update_broke_are_not_written(world: Any) -> None:
    context = world.context("train", "prose", ["prose"], steps=1, learning_rate=float("nan"))
    with pytest.raises(NexusError, match="left weights that are not finite"):
        world.run(context)
    assert not (context.artefact / "tower").exists()


def test_a_misaligned_record_stops_the_run(world: Any) -> None:
    wrong = [Sample(key=each.key, fields={"text": each.fields["text"][::-1] + "x"}) for each in world.data["prose"]]
    with pytest.raises(NexusError, match="hold other tokens"):
        world.run(world.context("train", "prose", ["prose"], with_data={"train/prose": wrong}))


def test_an_estimate_needs_no_artefact(world: Any) -> None:
    from nexus_train.stages import Train

    found = [
        Train().estimate(world.context("train", "prose", ["prose"], steps=100, with_budget=Budget(gigaflops=rate)))
        for rate in (0.0, 1.0, 1000.0)
    ]
    assert found[1].seconds > found[0].seconds > found[2].seconds > 100 * 0.012
    assert found[0].memory == 16 * 1000
    assert (found[0].disk, found[0].passing) == (28 * 1000, 24 * 1000), "the latest two states pass"
    assert found[0].how == "100 steps of 8 samples"
    assert Train().estimate(world.context("train", "pets", ["pets"], steps=100)).seconds > 1.2
    nothing = world.context("train", "prose", ["prose"], with_data={"train/prose": []})
    assert Train().estimate(nothing).seconds > 0
