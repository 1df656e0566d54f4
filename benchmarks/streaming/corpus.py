"""A random Llama on the disk, and the token ids that all contenders are given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

SHARD = 500_000_000


@dataclass(frozen=True)
class Size:
    """What the checkpoint is."""

    hidden: int
    inner: int
    layers: int
    vocabulary: int = 32000

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"llama-{self.hidden}x{self.layers}"


FULL = Size(2048, 5632, 36)
QUICK = Size(512, 1408, 12, 8000)


@dataclass(frozen=True)
class Case:
    """What passes through it: sequences of so many tokens, so many at a time."""

    samples: int
    tokens: int
    micro_batch: int

    @property
    def name(self) -> str:
        """ "32x256 by 4"."""
        return f"{self.samples}x{self.tokens} by {self.micro_batch}"


MAIN = (Case(32, 256, 1), Case(32, 256, 4))
SHORT = Case(64, 32, 1)
GROWING = (Case(8, 128, 4), Case(32, 128, 4), Case(128, 128, 4))


def config(size: Size) -> Any:
    """The configuration."""
    from transformers import LlamaConfig

    heads = size.hidden // 128 or 1
    return LlamaConfig(
        vocab_size=size.vocabulary, hidden_size=size.hidden, intermediate_size=size.inner, use_cache=False,
        num_hidden_layers=size.layers, num_attention_heads=heads, num_key_value_heads=max(1, heads // 4),
        max_position_embeddings=2048, tie_word_embeddings=False, dtype="bfloat16", architectures=["LlamaForCausalLM"],
    )  # fmt: skip


def make(size: Size, home: Path) -> Path:
    """The checkpoint's folder, made if it is not there; a shard's weights in memory at a time."""
    from transformers import LlamaForCausalLM

    folder = home / size.name
    if (folder / "tokenizer.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    made = config(size)
    made.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: each.shape for name, each in LlamaForCausalLM(made).state_dict().items()}
    torch.manual_seed(0)
    where: dict[str, str] = {}
    shards = list(_shards(shapes))
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: _weight(name, shapes[name]) for name in names}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(2 * shape.numel() for shape in shapes.values())}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "size.json").write_text(json.dumps(asdict(size)))
    _tokenizer().save_pretrained(folder)
    return folder


def ids(size: Size, case: Case) -> Tensor:
    """int64 [samples, tokens]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, size.vocabulary, (case.samples, case.tokens), generator=generator)


def batches(size: Size, case: Case) -> Iterator[Tensor]:
    """The ids as they pass."""
    yield from ids(size, case).split(case.micro_batch)


def weights(folder: Path) -> list[Path]:
    """The files with weights."""
    return sorted(folder.glob("*.safetensors"))


def _tokenizer() -> Any:
    """One that nobody uses: AirLLM does not open a checkpoint without."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    only = "<s>"
    inner = Tokenizer(models.WordLevel({only: 0}, unk_token=only))
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=only, eos_token=only)


def _weight(name: str, shape: torch.Size) -> Tensor:
    return torch.ones(shape, dtype=torch.bfloat16) if "norm" in name else (torch.randn(shape) * 0.02).bfloat16()


def _shards(shapes: dict[str, torch.Size]) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        if names and size + 2 * shape.numel() > SHARD:
            yield names
            names, size = [], 0
        names.append(name)
        size += 2 * shape.numel()
    yield names
