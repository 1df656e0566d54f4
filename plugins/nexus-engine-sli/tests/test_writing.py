"""Edits of models whose layers write keys and values for the layers behind them into a container."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.running.writing import containers, copies, hand_over, written
from nexus_specs import Budget, Installed, Sample, Tap
from nexus_specs.testing import ListSink

LAYERS = 6
EDITED = ("model.layers.0", "model.layers.2", "model.layers.3", "model.layers.5", "model.layers.3.self_attn")


class Skip:
    """Gives what it was given."""

    def __init__(self, path: str) -> None:
        self.name, self.modules = f"skip:{path}", (path,)

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        """Nothing to keep."""

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        return inputs.clone() if inputs.shape == output.shape else torch.zeros_like(output)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A Gemma 3n whose last two layers use the keys of layers before them."""
    folder = tmp_path_factory.mktemp("shared")
    torch.manual_seed(0)
    config = hf.Gemma3nTextConfig(
        vocab_size=300, vocab_size_per_layer_input=300, hidden_size=32, hidden_size_per_layer_input=8,
        num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=[48] * LAYERS, num_kv_shared_layers=2, sliding_window=8, altup_num_inputs=2, laurel_rank=4,
        layer_types=["sliding_attention", "full_attention"] * 3, activation_sparsity_pattern=[0.0] * LAYERS,
    )  # fmt: skip
    hf.Gemma3nForCausalLM(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain(module: Any, batch: Any, edit: Skip) -> torch.Tensor:
    """The logits with a hook that edits."""

    def hook(_: Any, args: Any, kwargs: Any, output: Any) -> Any:
        inputs = next(each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor))
        first = output if isinstance(output, torch.Tensor) else output[0]
        made = edit.apply("", inputs, first)
        return made if isinstance(output, torch.Tensor) else (made, *output[1:])

    handle = module.get_submodule(edit.modules[0]).register_forward_hook(hook, with_kwargs=True)
    with torch.no_grad():
        logits: torch.Tensor = module(**batch, use_cache=False).logits
    handle.remove()
    return logits


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_edits_take_over_the_keys_of_layers_that_they_do_not_run(
    residency: Any, shared: Path, inputs: Callable[[str], Sequence[Sample]]
) -> None:
    installed, samples, sink = Installed(), inputs("decoder")[:2], ListSink()
    checkpoint: Any = installed.make("architecture", "transformers").open(str(shared), installed)
    edits = [Skip(path) for path in EDITED]
    with Sli().load(checkpoint, Budget(micro_batch=1, residency=residency)) as teacher:
        teacher.observe(samples, [Tap(path="logits")], sink, edits)
    module = hf.Gemma3nForCausalLM.from_pretrained(shared).eval()
    for sample in samples:
        batch = dict(checkpoint.collate([sample]))
        for edit in edits:
            found = sink.values("logits", edit.name)[sample.key]
            assert torch.equal(found, plain(module, batch, edit)[0]), edit.name


def test_what_was_written_is_told_from_what_was_there() -> None:
    one, two, three = object(), object(), object()
    given = containers(([one], torch.ones(1)), {"shared": {"a": one}, "other": {"b": two}, "number": 3})
    assert given.keys() == {0, "shared", "other"}
    before = copies(given)
    assert written(given, before) == {}
    given[0].append(two)
    given["shared"]["a"] = three
    made = written(given, before)
    assert made == {0: [one, two], "shared": {"a": three}}
    other: dict[int | str, Any] = {0: [one], "shared": {"a": one}}
    hand_over(made, other)
    assert other == made
    assert other[0] is not made[0]
