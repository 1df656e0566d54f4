"""A student as a checkpoint: any engine loads it, the router groups its samples, and forced towers are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Budget, NexusError, Tap
from nexus_specs.testing import ListSink
from nexus_student.architecture import NexusArchitecture
from nexus_student.places import place, student_folder


@pytest.fixture
def samples(helpers: Any) -> list[Any]:
    texts = [helpers.PROSE[:40], helpers.CODE[:30], helpers.PROSE[10:60], helpers.CODE[5:40]]
    return [each for pair in zip(map(helpers.text, texts), map(helpers.image, range(4)), strict=True) for each in pair]


def opened(world: Any, suffix: str = "") -> Any:
    return NexusArchitecture().open(f"{world.model}{suffix}", world.desk)


def observed(world: Any, source: str, samples: Any, taps: list[str], **budget: Any) -> dict[Any, torch.Tensor]:
    sink, engine = ListSink(), world.desk.make("engine", "sli")
    with engine.load(NexusArchitecture().open(source, world.desk), Budget(**budget)) as teacher:
        teacher.observe(samples, [Tap(path=tap) for tap in taps], sink)
    return {(key, tap): value for tap in taps for key, value in sink.values(tap).items()}


def test_what_it_claims(world: Any, tmp_path: Path) -> None:
    loader, train = NexusArchitecture(), world.folder / "train" / "prose"
    for source in (world.model, world.release, f"{world.model}#prose", f"{world.model}#nope", f"{world.core}+{train}"):
        assert loader.match(str(source)) == 2
    for source in (tmp_path, world.core, f"{tmp_path}+{train}", f"{world.core}+{tmp_path}", "package:none/x", "a+b"):
        assert loader.match(str(source)) == 0
    with pytest.raises(NexusError, match="is no student"):
        loader.open(str(tmp_path), world.desk)
    with pytest.raises(NexusError, match=r"no tower 'nope'. It has: code, digits, prose"):
        place(f"{world.model}#nope")
    assert student_folder(world.release) == world.release / "model"
    assert place(f"{world.core / 'core'}+{train / 'tower'}").towers == {"prose": train / "tower"}


def test_groups_are_of_one_tower(world: Any, samples: list[Any]) -> None:
    checkpoint = opened(world)
    groups = [list(group) for group in checkpoint.groups(samples)]
    assert sorted(index for group in groups for index in group) == list(range(8))
    assert [1, 3, 5, 7] in groups
    towers = {checkpoint.collate([samples[index] for index in group]).get("tower", "") for group in groups}
    assert "digits" in towers
    with pytest.raises(NexusError, match="belong to different towers"):
        checkpoint.collate(samples)


def test_streamed_is_resident_and_routed_is_forced(world: Any, samples: list[Any]) -> None:
    images = samples[1::2]
    routed = observed(world, str(world.model), images, ["output"])
    for residency in ("resident", "stream"):
        forced = observed(world, f"{world.model}#digits", images, ["output"], residency=residency)
        assert routed.keys() == forced.keys()
        assert all(torch.equal(routed[key], forced[key]) for key in routed)


def test_two_artefacts_are_the_student_that_was_trained(world: Any, samples: list[Any]) -> None:
    texts = samples[0::2]
    source = f"{world.core}+{world.folder / 'train' / 'prose'}"
    pair = observed(world, source, texts, ["logprob", "core.model.layers.1"])
    whole = observed(world, f"{world.model}#prose", texts, ["logprob", "core.model.layers.1"])
    assert pair.keys() == whole.keys()
    assert all(torch.equal(pair[key], whole[key]) for key in pair)


def test_a_mixed_batch_is_each_alone(world: Any, samples: list[Any]) -> None:
    together = observed(world, str(world.model), samples[0::2], ["logprob"])
    for sample in samples[0::2]:
        alone = observed(world, str(world.model), [sample], ["logprob"])
        assert torch.allclose(alone[sample.key, "logprob"], together[sample.key, "logprob"], atol=1e-5)


def test_it_answers(world: Any, samples: list[Any], helpers: Any) -> None:
    engine = world.desk.make("engine", "sli")
    with engine.load(opened(world), Budget()) as teacher:
        answers = teacher.generate([samples[1], helpers.text("def f")])
    assert answers[0] in ("one", "two", "three")
    assert isinstance(answers[1], str)


@pytest.mark.parametrize("suffix", ["", "#prose", "#digits"])
def test_blueprint(world: Any, suffix: str, tmp_path: Path) -> None:
    checkpoint = opened(world, suffix)
    found = checkpoint.blueprint
    assert found.family == "nexus"
    assert found.takes == {"": ("image", "text"), "#prose": ("text",), "#digits": ("image",)}[suffix]
    assert found.parameters == sum(each.numel() for each in checkpoint.skeleton().parameters())
    checkpoint.save_preprocessor(tmp_path / "preprocessor")
    assert (tmp_path / "preprocessor" / "tokenizer.json").exists()


def test_a_core_without_tokenizer_saves_none(world: Any, helpers: Any, tmp_path: Path) -> None:
    from nexus_student.maker import NexusMaker

    NexusMaker(**helpers.OPTIONS).adopt("", tmp_path / "core")
    student = NexusMaker().load(
        tmp_path / "core", helpers.Eyes(), [world.profiles["digits"]], name="d", component="eyes"
    )
    student.save(tmp_path / "tower")
    checkpoint = NexusArchitecture().open(f"{tmp_path / 'core'}+{tmp_path / 'tower'}", world.desk)
    checkpoint.save_preprocessor(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_files_of_another_core_are_refused(world: Any, release: Path, helpers: Any) -> None:
    from nexus_torch.files import read_tensors, write_tensors

    path = release / "model" / "towers" / "prose" / "adapter_model.safetensors"
    tensors = read_tensors(path)
    tensors.popitem()
    write_tensors(path, tensors)
    with pytest.raises(NexusError, match="was made for another core"):
        NexusArchitecture().open(str(release), world.desk)
