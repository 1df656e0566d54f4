"""Ids of tokens held against the rows of the embedding that they are looked up in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import Batch, NexusError, Sample
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..inputs.ready import MASKS

POSITIONS = re.compile(r"(?:^|\.)(?:wpe|position_embeddings?|embed_positions)$")
"""What tables of learned positions are called."""
PLACE = re.compile(r"\w*(token_id|token_index|token_ids)")
"""What a configuration calls the ids that stand for pictures and sounds, which a model may look up nowhere."""


def rows_of(module: PreTrainedModel) -> Mapping[str, int]:
    """Rows for tokens, by the argument of the forward; those of what is more than a table are left out."""
    found = {"input_ids": _rows(lambda: module) or _rows(lambda: getattr(module, "text_model", None))}
    if module.config.is_encoder_decoder:
        found["decoder_input_ids"] = _rows(module.get_decoder)
    return {name: rows for name, rows in found.items() if rows}


def positions_of(module: nn.Module) -> int:
    """How many tokens of a text have a row in its tables of positions; 0 where it has no such table. The first rows of
    some are padding's (RoBERTa, whose 514 rows are 512 positions) or nobody's (OPT, BART)."""
    found = []
    for path, each in module.named_modules():
        if isinstance(each, nn.Embedding) and POSITIONS.search(path):
            offset = getattr(each, "offset", 0)
            before = each.padding_idx + 1 if each.padding_idx is not None else offset if isinstance(offset, int) else 0
            found.append(each.num_embeddings - before)
    return max(0, min(found, default=0))


def check_arguments(samples: Sequence[Sample], batch: Batch, positions: int, name: str) -> None:
    """NexusError for tokens that samples carry themselves and that no forward takes: what is no whole number, more of
    them than there are positions, and a mask of another shape."""
    for argument, mask in MASKS.items():
        ids = batch.get(argument)
        if argument not in samples[0].fields or not isinstance(ids, Tensor) or ids.ndim != 2:
            continue
        key = samples[0].key if len(samples) == 1 else f"{samples[0].key}' and its batch of '{len(samples)}"
        if ids.is_floating_point():
            raise NexusError(f"The sample '{key}' has '{argument}' that are no whole numbers. Give ids of tokens.")
        if 0 < positions < ids.shape[1]:
            raise NexusError(
                f"The sample '{key}' has {ids.shape[1]} '{argument}', and '{name}' has {positions} positions. Cut it."
            )
        for sample in samples:
            shapes = [np.shape(sample.fields[each])[-1:] for each in (argument, mask) if each in sample.fields]
            given = np.ndim(sample.fields.get(mask, ()))
            if given > 2 or (len(shapes) > 1 and shapes[0] != shapes[1]):
                raise NexusError(
                    f"The sample '{sample.key}' has an '{mask}' of the shape {np.shape(sample.fields[mask])} for "
                    f"'{argument}' of {np.shape(sample.fields[argument])}. Give one number for each token."
                )


def check_some(batch: Batch, samples: Sequence[Sample], name: str) -> None:
    """NexusError for a text of which a tokenizer that adds nothing makes nothing: the mean of its states is no
    number."""
    ids, mask = batch.get("input_ids"), batch.get("attention_mask")
    if not isinstance(ids, Tensor) or ids.ndim != 2 or len(ids) != len(samples):
        return
    masked = isinstance(mask, Tensor) and mask.shape == ids.shape
    counts = mask.sum(1).tolist() if masked and mask is not None else [ids.shape[1]] * len(ids)
    if empty := next((sample for sample, count in zip(samples, counts, strict=True) if not count), None):
        raise NexusError(
            f"'{name}' makes no token of the sample '{empty.key}', whose text is "
            f"{str(empty.fields.get('text', ''))[:40]!r}. Leave that row out, or give it words."
        )


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
