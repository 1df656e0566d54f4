"""How long a text may be where positions are learned, and arguments that no forward takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_specs.testing import sample

SMALL = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
KINDS: dict[str, tuple[Callable[[], Any], int]] = {
    "roberta": (lambda: hf.RobertaModel(hf.RobertaConfig(
        intermediate_size=16, max_position_embeddings=34, pad_token_id=1, type_vocab_size=1, **SMALL)), 32),
    "bert": (lambda: hf.BertModel(hf.BertConfig(intermediate_size=16, max_position_embeddings=34, **SMALL)), 34),
    "opt": (lambda: hf.OPTForCausalLM(hf.OPTConfig(
        ffn_dim=16, max_position_embeddings=34, word_embed_proj_dim=16, **SMALL)), 34),
    "gpt2": (lambda: hf.GPT2LMHeadModel(hf.GPT2Config(
        vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=34)), 34),
    "bart": (lambda: hf.BartForConditionalGeneration(hf.BartConfig(
        vocab_size=300, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=34,
        decoder_start_token_id=1)), 34),
}  # fmt: skip


@pytest.fixture
def opened(words: Callable[[], Any], tmp_path: Path) -> Callable[[str], Any]:
    """A checkpoint of one of them."""

    def make(name: str) -> Any:
        torch.manual_seed(0)
        KINDS[name][0]().save_pretrained(tmp_path)
        words().save_pretrained(tmp_path)
        return Transformers().open(str(tmp_path), Installed())

    return make


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_a_long_text_is_cut_where_positions_end(name: str, opened: Callable[[str], Any], loaded: Any) -> None:
    checkpoint, most = opened(name), KINDS[name][1]
    assert checkpoint.blueprint.context == most
    batch = checkpoint.collate([sample(text="abc " * 100)])
    assert batch["input_ids"].shape == (1, most)
    module = loaded(checkpoint)
    assert module(**batch)[0].isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):         # one more is one too many
        module(**{each: value if value.shape[1] < most else torch.cat([value, value[:, :1]], 1)
                  for each, value in batch.items()})  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input_ids": list(range(40))}, r"has 40 'input_ids', and '.*' has 34 positions\. Cut it"),
        ({"input_ids": np.array([[1.5, 2.0]])}, "'input_ids' that are no whole numbers"),
        ({"input_ids": [5, 6, 7, 8], "attention_mask": [1, 1]}, r"of the shape \(2,\) for 'input_ids'"),
        ({"input_ids": [5, 6], "attention_mask": np.ones((1, 1, 2, 2))}, r"shape \(1, 1, 2, 2\)"),
    ],
)
def test_arguments_that_fit_none_are_said(fields: dict[str, Any], said: str, opened: Callable[[str], Any]) -> None:
    """By whoever makes the batch, before a forward fails in the middle of a run."""
    with pytest.raises(NexusError, match=said):
        opened("gpt2").collate([sample(**fields)])
