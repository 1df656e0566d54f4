"""Ids of tokens held against the rows of the embedding that they are looked up in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nexus_specs import Batch, NexusError, Sample
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

PLACE = re.compile(r"\w*(token_id|token_index|token_ids)")
"""What a configuration calls the ids that stand for pictures and sounds, which a model may look up nowhere."""


def rows_of(module: PreTrainedModel) -> Mapping[str, int]:
    """Rows for tokens, by the argument of the forward; those of what is more than a table are left out."""
    found = {"input_ids": _rows(lambda: module)}
    if module.config.is_encoder_decoder:
        found["decoder_input_ids"] = _rows(module.get_decoder)
    return {name: rows for name, rows in found.items() if rows}


def check_tokens(
    batch: Batch, rows: Mapping[str, int], samples: Sequence[Sample], config: Any, name: str
) -> int | None:
    """The first id that the tokenizer makes and that has no row in the embedding: a word that was added, and the model
    never grown. None where all have one. NexusError where the samples themselves carry such an id."""
    for argument, count in rows.items():
        ids = batch.get(argument)
        if not isinstance(ids, Tensor) or not ids.numel():
            continue
        given = argument in samples[0].fields
        if int(ids.max()) < count and not (given and int(ids.min()) < 0):
            continue
        wrong = [each for each in ids[(ids >= count) | (ids < 0)].unique().tolist() if each not in set(_places(config))]
        if wrong and given:
            raise NexusError(
                f"A sample has the id {wrong[0]} in '{argument}'; '{name}' has rows for 0 to {count - 1}. Cut the text "
                "with the tokenizer of this model."
            )
        if wrong and wrong[-1] >= count:
            return int(wrong[-1])
    return None


def _rows(module: Callable[[], Any]) -> int:
    try:
        table = module().get_input_embeddings()
    except (NotImplementedError, AttributeError, ValueError, TypeError):    # classes without one say so in many ways
        return 0
    return table.num_embeddings if type(table) is nn.Embedding else 0


def _places(config: Any) -> Iterator[int]:
    values = config.to_dict() if isinstance(config, PreTrainedConfig) else config
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _places(value)
        elif PLACE.fullmatch(str(name)):
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int))
