"""The two text teachers: a byte-level BPE of their own each, then windows of text until the schedule ends."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ..places import table
from ..snapshot.windows import windows
from .optimiser import Optimiser, Pace

SPECIAL = ("<|bos|>", "<|eos|>", "<|pad|>")
IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """One text teacher; what it is, and how it learns."""

    name: str
    model: type[PreTrainedModel]
    config: PreTrainedConfig
    pace: Pace
    batch: int = 8
    dropout: float = 0.0
    transfer: bool = True
    """Whether the teacher reads the transfer part as well."""
    beside: tuple[str, ...] = ()
    """Sources of the transfer part that begin so are read as what the teacher sees alone: each pass samples them."""
    share: float = 1.0
    """How much of what stands beside is read in one pass."""


ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
PROSE = TextRecipe(
    name="prose",
    model=Qwen3ForCausalLM,
    config=Qwen3Config(
        vocab_size=1024, hidden_size=128, intermediate_size=384, num_hidden_layers=5, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=1024, tie_word_embeddings=True, **ENDS,
    ),
    pace=Pace(steps=1800, decay=0.5),
    dropout=0.1,
    beside=("docstrings/",),
    share=0.3,
)  # fmt: skip
CODE = TextRecipe(
    name="code",
    model=LlamaForCausalLM,
    config=LlamaConfig(
        vocab_size=1280, hidden_size=160, intermediate_size=384, num_hidden_layers=5, num_attention_heads=5,
        num_key_value_heads=5, max_position_embeddings=1024, tie_word_embeddings=True, **ENDS,
    ),
    pace=Pace(steps=1800, decay=0.5),
    transfer=False,
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in (PROSE, CODE)}


def documents(recipe: TextRecipe) -> tuple[list[str], list[str]]:
    """What the teacher may see: the documents that every pass reads, and those beside them that it samples from."""
    alone = whole(recipe.name, "teacher")
    transfer = whole(recipe.name, "train") if recipe.transfer else {}
    beside = alone | {source: text for source, text in transfer.items() if source.startswith(recipe.beside)}
    always = [text for source, text in transfer.items() if source not in beside]
    return always, [beside[source] for source in sorted(beside)]


def whole(name: str, part: str) -> dict[str, str]:
    """Documents by source: the windows of one source stand in order and join to it."""
    pieces: dict[str, list[str]] = defaultdict(list)
    for row in pq.read_table(table(name, part)).to_pylist():
        pieces[row["source"]].append(row["text"])
    return {source: "".join(texts) for source, texts in pieces.items()}


def byte_pairs(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE that gives every text back exactly; the bos token is added unless told not to."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[2],
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def epoch(recipe: TextRecipe, always: Sequence[str], sometimes: Sequence[str], draw: random.Random) -> list[str]:
    """The windows of one pass, cut anew: a document starts at a random line, so windows differ from pass to pass."""
    chosen = [*always, *draw.sample(sometimes, round(len(sometimes) * recipe.share))]
    cut = [window for text in chosen for window in windows(text[first_line(text, draw) :])]
    draw.shuffle(cut)
    return cut


def first_line(text: str, draw: random.Random) -> int:
    """A random start of a line within the first window, so that no text is always left out."""
    return text.rfind("\n", 0, draw.randrange(min(len(text), 1024))) + 1


def batches(recipe: TextRecipe, tokenizer: PreTrainedTokenizerFast, draw: random.Random) -> Iterator[Tensor]:
    """Endless batches of token ids, -100 where padded; windows of like length stand together."""
    always, sometimes = documents(recipe)
    while True:
        windows_of_pass = iter(epoch(recipe, always, sometimes, draw))
        while pool := list(islice(windows_of_pass, 16 * recipe.batch)):
            tokens = sorted(tokenizer(pool)["input_ids"], key=len)
            groups = [tokens[i : i + recipe.batch] for i in range(0, len(tokens), recipe.batch)]
            draw.shuffle(groups)
            yield from map(padded, groups)


def padded(group: Sequence[list[int]]) -> Tensor:
    """Rows of unlike length as one tensor."""
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in group], batch_first=True, padding_value=IGNORED)


def nats(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Cross-entropy of every token after the first, [B, T-1]; zero where padded. Causal, so padding needs no mask."""
    logits = model(input_ids=tokens.clamp_min(0)[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.float().mT, tokens[:, 1:], ignore_index=IGNORED, reduction="none")


def add_dropout(model: PreTrainedModel, rate: float) -> None:
    """Dropout on what every attention and MLP block adds to the residual stream; the checkpoint knows nothing of it."""
    for layer in model.model.layers:
        for output in (layer.self_attn.o_proj, layer.mlp.down_proj):
            output.register_forward_hook(lambda module, _, out: functional.dropout(out, rate, module.training))


def train(recipe: TextRecipe, report: Callable[[int, float], None]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The teacher and its tokenizer, from what the teacher may see."""
    torch.manual_seed(0)
    always, sometimes = documents(recipe)
    tokenizer = byte_pairs([*always, *sometimes], recipe.config.vocab_size)
    model = recipe.model(recipe.config).train()
    add_dropout(model, recipe.dropout)
    optimiser = Optimiser(model, recipe.pace)
    stream = batches(recipe, tokenizer, random.Random(0))  # noqa: S311 - no secret
    for step, tokens in enumerate(islice(stream, recipe.pace.steps)):
        with torch.autocast("cpu", torch.bfloat16):
            losses = nats(model, tokens)
        loss = losses.sum() / (tokens[:, 1:] != IGNORED).sum()
        optimiser.step(loss)
        report(step, loss.item())
    return model.eval(), tokenizer


@torch.inference_mode()
def bits_per_byte(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> float:
    """All bits over all bytes; every window stands alone behind its bos token, and every token of it counts."""
    total = sum(nats(model, torch.tensor([tokenizer(text)["input_ids"]])).sum().item() for text in texts)
    return total / math.log(2) / sum(len(text.encode()) for text in texts)


def rows(name: str, part: str) -> list[str]:
    """The windows of a part."""
    return pq.read_table(table(name, part), columns=["text"]).column("text").to_pylist()
