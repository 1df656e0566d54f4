"""Edits in a tower that not every batch passes, since some samples have no picture; tensors that forwards keep on
modules; token ids, which are no media."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.running.belongings import Belongings, forgets
from nexus_engine_sli.running.forwards import Run
from nexus_engine_sli.running.hub import Hub, layer_paths
from nexus_engine_sli.teacher import SliTeacher
from nexus_specs import Budget, Checkpoint, Installed, Sample, Tap, content_key
from nexus_specs.testing import ListSink
from torch import Tensor, nn

PICTURE, PATCHES = 5, 4
VISION, TEXT = "model.vision_tower.encoder.layers.", "model.language_model.layers."
COMMON: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


class Mean:
    """Mean-ablation of a module."""

    def __init__(self, module: str) -> None:
        self.name, self.modules = f"mean:{module}", (module,)
        self.rows: list[Tensor] = []

    def seen(self, path: str, inputs: Any, output: Tensor, mask: Any) -> None:
        self.rows.append(output.flatten(0, -2).clone())

    def apply(self, path: str, inputs: Any, output: Tensor) -> Tensor:
        return torch.cat(self.rows).mean(0).expand_as(output).clone()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    home = tmp_path_factory.mktemp("seeing")
    vision = hf.CLIPVisionConfig(image_size=8, patch_size=4, projection_dim=16, **COMMON)
    text = hf.LlamaConfig(vocab_size=300, num_key_value_heads=2, max_position_embeddings=64, **COMMON)
    torch.manual_seed(0)
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=PICTURE)
    hf.LlavaForConditionalGeneration(config).save_pretrained(home)
    return Installed().open(str(home))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Five, of which the second and the fourth have a picture."""
    generator, made = np.random.default_rng(0), []
    for number in range(5):
        words = generator.integers(10, 300, size=4 + number)
        fields: dict[str, Any] = {"input_ids": words}
        if number % 2:
            fields = {"input_ids": np.concatenate([words[:1], [PICTURE] * PATCHES, words[1:]])}
            fields["pixel_values"] = generator.standard_normal((1, 3, 8, 8)).astype(np.float32)
        made.append(Sample(key=content_key({"number": number}), fields=fields))
    return made


def observed(checkpoint: Checkpoint, samples: Sequence[Sample], how: Any, folder: Path, **more: Any) -> ListSink:
    sink = ListSink()
    edits = [Mean(path) for path in (f"{VISION}0", f"{VISION}2", f"{TEXT}1")]
    budget = Budget(residency=how, micro_batch=1, scratch=folder, **more)
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path="logits")], sink, edits)
    return sink


def test_edits_of_a_tower_that_not_every_batch_passes(
    seeing: Checkpoint, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_engine_sli.running.streaming.LEAST", 1)
    resident, streamed, spilled = (
        observed(seeing, samples, how, tmp_path, **more)
        for how, more in (("resident", {}), ("stream", {}), ("stream", {"memory": 64 << 20}))
    )
    for edit in ("", f"mean:{VISION}0", f"mean:{VISION}2", f"mean:{TEXT}1"):
        expected = resident.values("logits", edit)
        assert len(expected) == len(samples), edit
        for other in (streamed, spilled):
            found = other.values("logits", edit)
            assert all(torch.equal(expected[key], found[key]) for key in expected), edit
    intact, changed = resident.values("logits"), resident.values("logits", f"mean:{VISION}0")
    same = [torch.equal(intact[sample.key], changed[sample.key]) for sample in samples]
    assert same == [True, False, True, False, True], "what has no picture never meets the edit"


class Remembering(nn.Module):
    """Adds what the layer was given the last time, as the causal convolutions of a film's decoder do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.before = inner, None

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Any:
        before = states.new_zeros(()) if self.before is None else self.before.mean()
        self.before = states.clone()
        return self.inner(states + before, *args, **kwargs)

    def forget(self) -> None:
        """At the end of a film."""
        del self.before
        self.before = None


class Twice(nn.Module):
    """A model that passes its inputs two times, and forgets at its end what it remembers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Any:
        found = self.model(**batch), self.model(**batch)
        for each in self.model.model.layers:
            each.forget()
        return found


def test_what_forwards_keep_on_modules_is_their_own(opened: Any, inputs: Any) -> None:
    checkpoint = opened("decoder")
    batches = [checkpoint.collate([sample]) for sample in inputs("decoder")]
    room = Resident(checkpoint, "cpu")
    layers = room.module.model.layers
    for number, layer in enumerate(layers):
        layers[number] = Remembering(layer)
    model, given = Twice(room.module), {}

    def forward(run: Run) -> None:
        given[run.index] = model(**run.batch)[1].logits

    with torch.no_grad():
        expected = [model(**batch)[1].logits for batch in batches]
        hub = Hub(room, layer_paths(room.module, checkpoint.blueprint.stacks))
        hub.lead(Run(forward, at, batch) for at, batch in enumerate(batches))
    assert all(torch.equal(given[at], each) for at, each in enumerate(expected))
    assert not hub.belongings.own, "nothing of a forward that is over"
    assert forgets(Remembering, "before")
    assert not forgets(Remembering, "inner")
    with torch.no_grad():
        assert not torch.equal(expected[0], room.module(**batches[0]).logits), "what it remembers counts"


def test_what_one_forward_sets_stays_for_all() -> None:
    """A table that is made once and used by all is copied for nobody."""
    module, belongings, seen = nn.Module(), Belongings(), []

    def forward(run: Run) -> None:
        if run.index == 0:
            module.table = torch.ones(1)
        run.wait(None)  # type: ignore[arg-type]
        seen.append(module.table)

    runs = [Run(forward, at, {}) for at in range(3)]
    with belongings.noting():
        for _ in range(2):
            for run in runs:
                belongings.bring(run)
                run.switch(*[(True, None)] * bool(run))
                belongings.leave(run)
    assert [each is module.table for each in seen] == [True] * 3
    assert not belongings.own
    module.table = None
    assert nn.Module.__setattr__.__module__ == "torch.nn.modules.module", "as it was before"


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, list])
def test_token_ids_are_no_small_media(kind: Any, opened: Any) -> None:
    keys = [content_key({"number": number}) for number in range(6)]
    samples = [Sample(key=key, fields={"input_ids": kind([3, 4, 5, at])}) for at, key in enumerate(keys)]
    checkpoint = opened("decoder")
    teacher = SliTeacher(checkpoint, Resident(checkpoint, "cpu"), Budget(micro_batch=2))
    assert [len(each.keys) for each in teacher.batching.chunked(samples)] == [2, 2, 2]
