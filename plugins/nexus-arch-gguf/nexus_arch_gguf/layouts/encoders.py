"""Encoders, and models of an encoder and a decoder."""

from __future__ import annotations

from typing import Any

from nexus_torch.hugging_face.telling import once

from ..fields import whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import behind_padding, third

SENTENCEPIECE = ("llama", "t5")
T5 = (Rule(r"(shared|embed_tokens)\.weight$", ("token_embd.weight",)),)
ROBERTA = (Rule(r"position_embeddings\.weight$", ("position_embd.weight",), behind_padding),)
NOMIC = (
    Rule(r"\.q_proj\.(weight|bias)$", ("blk.{n}.attn_qkv.{0}",), third(0)),
    Rule(r"\.k_proj\.(weight|bias)$", ("blk.{n}.attn_qkv.{0}",), third(1)),
    Rule(r"\.v_proj\.(weight|bias)$", ("blk.{n}.attn_qkv.{0}",), third(2)),
    Rule(r"self_attn\.o_proj\.(weight|bias)$", ("blk.{n}.attn_output.{0}",)),
    Rule(r"post_attention_layernorm\.(weight|bias)$", ("blk.{n}.attn_output_norm.{0}",)),
    Rule(r"post_mlp_layernorm\.(weight|bias)$", ("blk.{n}.layer_output_norm.{0}",)),
)
JINA3 = (
    *NOMIC,
    Rule(r"mlp\.fc1\.(weight|bias)$", ("blk.{n}.ffn_up.{0}",)),
    Rule(r"mlp\.fc2\.(weight|bias)$", ("blk.{n}.ffn_down.{0}",)),
)
OWN_POSITIONS = "enc.blk.1.attn_rel_b.weight"
PADDING = 1
"""Token that pads in every RoBERTa; positions begin behind it, and the file leaves the rows before them out."""


def bert(source: Source) -> Layout:
    """BERT, RoBERTa and DistilBERT share an architecture: the tokenizer and the tensors tell them apart."""
    if "token_types.weight" not in source.places:
        return Layout(head="DistilBertModel", fill=distilbert)
    kind = source.text("tokenizer.ggml.model")
    if kind == "gpt2" or (not kind and _counts_from_two(source)):
        return Layout(head="RobertaModel", rules=ROBERTA, fill=roberta, absent=("pooler",))
    if kind in SENTENCEPIECE:
        return Layout(head="XLMRobertaModel", rules=ROBERTA, fill=roberta, absent=("pooler",))
    return Layout(head="BertModel", fill=bert_fields, absent=("pooler",))


def _counts_from_two(source: Source) -> bool:
    """Whether a file without a tokenizer is of RoBERTa's kind, whose positions begin behind two that no token has: it
    holds their rows too (CamemBERT's do), or has one sort of token, as all of the kind and no BERT."""
    positions, sorts = (source.tensors[f"{name}.weight"].shape[0] for name in ("position_embd", "token_types"))
    if found := _spare(positions) or sorts == 1:
        once(
            ("sort", source.path),
            f"'{source.path}' has no tokenizer, which would tell BERT from RoBERTa: by its positions and sorts of "
            "token it is taken for a RoBERTa.",
        )
    return found


def _spare(rows: int) -> bool:
    """Whether so many rows are a power of two and the two before."""
    positions = rows - PADDING - 1
    return positions > 0 and not positions & (positions - 1)


def bert_fields(source: Source, fields: dict[str, Any]) -> None:
    """Positions and token types as many as the file has rows."""
    fields["max_position_embeddings"] = source.tensors["position_embd.weight"].shape[0]
    fields["type_vocab_size"] = source.tensors["token_types.weight"].shape[0]


def roberta(source: Source, fields: dict[str, Any]) -> None:
    """Two rows that no position uses stand before the positions. llama.cpp's converter leaves them in for CamemBERT:
    then the file has two rows more than a power of two."""
    bert_fields(source, fields)
    fields["pad_token_id"] = PADDING
    rows = fields["max_position_embeddings"]
    if not _spare(rows):
        fields["max_position_embeddings"] = rows + PADDING + 1


def distilbert(source: Source, fields: dict[str, Any]) -> None:
    """Positions as many as the file has rows."""
    fields["max_position_embeddings"] = source.tensors["position_embd.weight"].shape[0]
    fields["sinusoidal_pos_embds"] = False


def nomic(source: Source, fields: dict[str, Any]) -> None:
    """Token types where the file has them."""
    if "token_types.weight" in source.places:
        fields["type_vocab_size"] = source.tensors["token_types.weight"].shape[0]


def modern_bert(source: Source, fields: dict[str, Any]) -> None:
    """Local layers and every few a global one."""
    every = source.get("{arch}.attention.sliding_window_pattern", 3)
    count = source.whole("{arch}.block_count")
    fields.pop("sliding_window", None)
    fields["local_attention"] = whole(source, "attention.sliding_window", 128)
    if isinstance(every, int) and every:
        fields["layer_types"] = [
            "sliding_attention" if layer % every else "full_attention" for layer in range(count)
        ]


def t5(source: Source) -> Layout:
    """T5, or UMT5, whose every layer has its own positions."""
    if OWN_POSITIONS in source.places:
        return Layout(head="UMT5ForConditionalGeneration", rules=T5, fill=t5_fields)
    return Layout(head="T5ForConditionalGeneration", rules=T5, fill=t5_fields)


def t5_encoder(source: Source) -> Layout:
    """The encoder alone, of T5 or of UMT5 (that of Wan)."""
    if OWN_POSITIONS in source.places:
        return Layout(head="UMT5EncoderModel", rules=T5, fill=t5_fields)
    return Layout(head="T5EncoderModel", rules=T5, fill=t5_fields)


def t5_fields(source: Source, fields: dict[str, Any]) -> None:
    """The activation is in no metadata: none behind a gate is ReLU (T5 1.0), one behind a gate is told."""
    gated = "enc.blk.0.ffn_gate.weight" in source.places
    if gated:
        once(
            ("gate", source.path),
            f"'{source.path}' does not say which activation stands before its gates, as no GGUF file of a T5 does: "
            "GELU is taken, as llama.cpp takes it (T5 1.1, Flan-T5, mT5, UMT5, MADLAD). For a model with another (UL2 "
            "has SiLU) name its folder of safetensors.",
        )
    fields["feed_forward_proj"] = "gated-gelu" if gated else "relu"
    fields["num_layers"] = source.whole("{arch}.block_count")
    fields["num_decoder_layers"] = whole(source, "decoder_block_count", fields["num_layers"])
    fields.pop("num_key_value_heads", None)
