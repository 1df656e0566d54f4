"""Counts of metadata that the tensors must bear out before anything is built by them."""

from __future__ import annotations

import re

from nexus_specs import NexusError

from .fields import whole
from .layout import Layout
from .source import Source

ATTENTION = re.compile(r"blk\.\d+\.attn_(?:q|qkv)\.weight")
NUMBER, DECODER = re.compile(r"(?:enc\.)?blk\.(\d+)\."), re.compile(r"dec\.blk\.(\d+)\.")
"""Layers that `block_count` counts, and those that `decoder_block_count` does."""


def bounded(source: Source, layout: Layout) -> None:
    """Counts that decide how much is built must be borne out by the tensors."""
    if layout.embeds and "token_embd.weight" not in source.places:
        raise NexusError(
            f"'{source.path}' has no tensor 'token_embd.weight': it is a vocabulary or an adapter, not a whole model."
        )
    embedding = source.tensors.get("token_embd.weight")
    if embedding is not None and len(embedding.shape) != 2:
        raise NexusError(
            f"'{source.path}': the tensor 'token_embd.weight' has {len(embedding.shape)} dimensions, and should have "
            "two. The file is damaged: fetch it again."
        )
    _routed(source)
    if source.get("{arch}.attention.head_count") is None and any(map(ATTENTION.fullmatch, source.places)):
        raise NexusError(                                   # a class has a default, which any width may divide by
            f"'{source.path}' lacks the metadata '{source.architecture}.attention.head_count', without which nobody "
            "knows how its attention is divided. Convert the model again."
        )
    _borne_out(source, layout.blocks, NUMBER, least=1)
    if source.get("{arch}.decoder_block_count") is not None and not layout.head.endswith("EncoderModel"):
        _borne_out(source, "decoder_block_count", DECODER, least=0)
    rows = source.tensors.get("position_embd.weight")
    if rows is not None and whole(source, "context_length") > 2 * rows.shape[0] + 64:
        raise NexusError(
            f"'{source.path}': the metadata '{source.architecture}.context_length' does not agree with the "
            f"{rows.shape[0]} positions that have a row. Fetch or convert the file again."
        )
    width = embedding.shape[-1] if embedding else source.whole("{arch}.embedding_length")
    if source.whole("{arch}.embedding_length", width) != width:
        raise NexusError(
            f"'{source.path}': the metadata '{source.architecture}.embedding_length' does not agree with the "
            f"embedding, which is {width} wide. Fetch or convert the file again."
        )


def _routed(source: Source) -> None:
    """NexusError for experts of which no number, or more than there are, see a token: a class has a default. And for
    another number of them than routers have rows."""
    count, used = whole(source, "expert_count"), whole(source, "expert_used_count")
    routed = {info.shape[0] for name, info in source.tensors.items() if name.endswith(".ffn_gate_inp.weight")}
    if count and routed and routed != {count}:
        raise NexusError(
            f"'{source.path}': the metadata '{source.architecture}.expert_count' is {count}, and routers have rows for "
            f"{', '.join(map(str, sorted(routed)))} experts. Fetch or convert the file again."
        )
    if count and routed and not 1 <= used <= count:
        said = "missing" if source.get("{arch}.expert_used_count") is None else used
        raise NexusError(
            f"'{source.path}': the metadata '{source.architecture}.expert_used_count' is {said}; allowed: 1 to the "
            f"{count} experts that there are. Fetch or convert the file again."
        )


def _borne_out(source: Source, key: str, names: re.Pattern[str], least: int) -> None:
    """NexusError for a count of layers that the tensors of so many layers do not bear out."""
    count = source.whole("{arch}." + key)
    whole(source, key)                                      # NexusError for one that is beyond all reason
    key = f"{source.architecture}.{key}"
    numbers = {match[1] for name in source.places if (match := names.match(name))}
    last = max((int(each) for each in numbers), default=-1)
    beyond = key.endswith("block_count") and last >= count      # else layers would be left out in silence
    if not least <= count <= len(numbers) or beyond:
        raise NexusError(
            f"'{source.path}': the metadata '{key}' is {count}, and tensors of {len(numbers)} layers are there, up to "
            f"number {last}. The file is cut off or damaged: fetch it again."
        )
