"""What a decoder beside an encoder is fed: its start token, and the text that a sample is to become ("target").

Teacher-forced: at position t stands what is known before token t + 1, so that tokens, spans and logits of a
translation or a transcript mean what they mean for a text. Shapes: B samples, T tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nexus_specs import Sample
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.padding import Collated, mask_of, pad
from nexus_torch.text import byte_spans

from ..configuration.catalogue import is_head_of
from ..configuration.reading import text_part

JUDGES = ("SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION", "QUESTION_ANSWERING")
"""Heads whose decoder, if they have one, reads the text once more."""
TARGET = "target"
"""The field with the text that a sample becomes."""


def decodes(config: PreTrainedConfig, head: str, arguments: frozenset[str]) -> bool:
    """Whether a forward wants decoder inputs of tokens: that of an encoder and decoder, or of a model whose text part
    is told to be a decoder (BLIP's answers). Heads that judge a text make them of it themselves."""
    if "decoder_input_ids" not in arguments or is_head_of(head, *JUDGES):
        return False
    text = text_part(config)
    told = config.is_encoder_decoder or text.is_encoder_decoder or getattr(text, "is_decoder", False)
    return bool(told or transduces(head))


def rereads(kind: type[PreTrainedModel]) -> bool:
    """Whether a body without a head gives its decoder the text once more, where it is given nothing else (BART's, as it
    is published: one start token would be all that its decoder sees)."""
    return not kind.can_generate() and "shift_tokens_right(" in inspect.getsource(kind.forward)


def transduces(head: str) -> bool:
    """Whether a head is a transducer: its decoder is fed one token at a time, at first the blank."""
    return is_head_of(head, "RNNT", "TDT")


def start_of(config: PreTrainedConfig, generation: Mapping[str, Any]) -> int:
    """The token that a decoder begins with: as its configuration says, else begin of text, else padding."""
    places = (generation, vars(config), vars(config.get_text_config(decoder=True)))
    for name in ("decoder_start_token_id", "blank_token_id", "bos_token_id", "pad_token_id"):
        for place in places:
            found = place.get(name)
            found = found[0] if isinstance(found, list) and found else found
            if isinstance(found, int) and not isinstance(found, bool):
                return found
    return 0


def channels_of(config: PreTrainedConfig) -> int:
    """Rows that a decoder of sound codes takes for one sample: one for each codebook; 1 for a decoder of text."""
    for place in (getattr(config, "decoder_config", None), getattr(config, "decoder", None)):
        for name in ("num_codebooks", "num_channels"):
            if isinstance(found := getattr(place, name, None), int):
                return found
    return 1


def decoder_inputs(
    samples: Sequence[Sample], tokenizer: Any, start: int, limit: int, channels: int = 1
) -> Collated:
    """`decoder_input_ids` [B, T], their mask, and beside them spans in the target. Samples without one have the start
    token alone; `tokenizer` is asked for only where one has a target. Decoders of codes get [B * channels, 1]."""
    if channels > 1:
        return Collated({"decoder_input_ids": torch.full((len(samples) * channels, 1), start)})
    rows, spans = [], []
    for sample in samples:
        ids, places = _target(sample, tokenizer, start)
        rows.append(torch.tensor(ids[:limit] if limit else ids))
        spans.append(torch.tensor(places[:limit] if limit else places))
    mask = mask_of([len(row) for row in rows])
    found = {"decoder_input_ids": pad(rows), "decoder_attention_mask": mask.long()}
    return Collated(found, spans=pad(spans), decoder_mask=mask)


def _target(sample: Sample, tokenizer: Any, start: int) -> tuple[list[int], list[tuple[int, int]]]:
    text = sample.fields.get(TARGET)
    if not isinstance(text, str):
        return [start], [(0, 0)]
    tokens = tokenizer()
    encoded = tokens(text_target=text, return_offsets_mapping=bool(getattr(tokens, "is_fast", False)))
    ids = list(encoded["input_ids"])
    places = list(byte_spans(text, encoded.get("offset_mapping", [(0, 0)] * len(ids))))
    first = [] if ids[:1] == [start] else [start]
    return [*first, *ids], [*((0, 0) for _ in first), *places]
