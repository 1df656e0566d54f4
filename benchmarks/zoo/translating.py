"""What reads a text as a whole: encoders, and encoders with decoders."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import BEGINS, LARGE, sides, words
from .samples import read, written


@kind(read)
def bert_large() -> Made:
    """google-bert/bert-large-uncased, whole."""
    return hf.BertForMaskedLM(hf.BertConfig(**LARGE)), words()


@kind(read)
def roberta_large() -> Made:
    """FacebookAI/roberta-large with a head of two classes, whole."""
    config = hf.RobertaConfig(vocab_size=50265, max_position_embeddings=514, pad_token_id=0, **LARGE)
    return hf.RobertaForSequenceClassification(config), words()


@kind(read)
def xlm_roberta_large() -> Made:
    """FacebookAI/xlm-roberta-large (BGE-M3's and multilingual E5's shape), whole: half of it is its table."""
    config = hf.XLMRobertaConfig(vocab_size=250002, max_position_embeddings=514, pad_token_id=0, **LARGE)
    return hf.XLMRobertaModel(config), words()


@kind(read)
def deberta_v3_large() -> Made:
    """microsoft/deberta-v3-large, whole."""
    config = hf.DebertaV2Config(
        vocab_size=128100, relative_attention=True, position_buckets=256, pos_att_type=["p2c", "c2p"],
        share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0, **LARGE,
    )  # fmt: skip
    return hf.DebertaV2Model(config), words()


@kind(read)
def modernbert_large() -> Made:
    """answerdotai/ModernBERT-large, whole."""
    config = hf.ModernBertConfig(
        hidden_size=1024, intermediate_size=2624, num_hidden_layers=28, num_attention_heads=16, cls_token_id=0,
        sep_token_id=0, **{name: each for name, each in BEGINS.items() if name != "decoder_start_token_id"},
    )  # fmt: skip
    return hf.ModernBertForMaskedLM(config), words()


@kind(written)
def t5_large() -> Made:
    """google-t5/t5-large, 16 of 24 layers on either side."""
    config = hf.T5Config(d_model=1024, d_kv=64, d_ff=4096, num_layers=16, num_heads=16, decoder_start_token_id=0)
    return hf.T5ForConditionalGeneration(config), words()


@kind(written)
def flan_t5_large() -> Made:
    """google/flan-t5-large, 16 of 24 layers on either side: gates, and a head of its own."""
    config = hf.T5Config(
        d_model=1024, d_kv=64, d_ff=2816, num_layers=16, num_heads=16, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    return hf.T5ForConditionalGeneration(config), words()


@kind(written)
def umt5_base() -> Made:
    """google/umt5-base, whole: two tables of 256,384 words are two thirds of it."""
    config = hf.UMT5Config(vocab_size=256384, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12, **BEGINS)
    return hf.UMT5ForConditionalGeneration(config), words()


@kind(written)
def bart_large() -> Made:
    """facebook/bart-large-cnn, whole."""
    config = hf.BartConfig(vocab_size=50264, forced_eos_token_id=0, **BEGINS)
    return hf.BartForConditionalGeneration(config), words()


@kind(written)
def pegasus_large() -> Made:
    """google/pegasus-xsum, whole."""
    shape = sides(layers=16, attention_heads=16, ffn_dim=4096)
    config = hf.PegasusConfig(
        vocab_size=96103, d_model=1024, max_position_embeddings=512, scale_embedding=True, **shape, **BEGINS
    )
    return hf.PegasusForConditionalGeneration(config), words()


@kind(written)
def nllb_600m() -> Made:
    """facebook/nllb-200-distilled-600M, whole."""
    shape = sides(layers=12, attention_heads=16, ffn_dim=4096)
    config = hf.M2M100Config(vocab_size=256206, d_model=1024, **shape, **BEGINS)
    return hf.M2M100ForConditionalGeneration(config), words()


@kind(written)
def marian_big() -> Made:
    """Helsinki-NLP/opus-mt-tc-big-en-es with 8 layers on either side instead of 6."""
    shape = sides(layers=8, attention_heads=16, ffn_dim=4096)
    return hf.MarianMTModel(hf.MarianConfig(vocab_size=65001, d_model=1024, **shape, **BEGINS)), words()


@kind(written)
def mbart50_large() -> Made:
    """facebook/mbart-large-50-many-to-many-mmt, whole."""
    shape = sides(layers=12, attention_heads=16, ffn_dim=4096)
    config = hf.MBartConfig(vocab_size=250054, d_model=1024, scale_embedding=True, **shape, **BEGINS)
    return hf.MBartForConditionalGeneration(config), words()
