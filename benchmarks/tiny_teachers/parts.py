"""What tiny checkpoints are made of: tokenizers trained in a moment, samples of each modality, small shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import transformers as hf
from nexus_specs import Sample, content_key
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = ("Layers carry what a model knows.", "A tower keeps one ability; naïve copies keep none.", "x = [1, 2]")
VOCABULARY = 320
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
DECODER = {"vocab_size": VOCABULARY, "num_key_value_heads": 2, "max_position_embeddings": 128, **SMALL}
ENDS_IN_TEXT = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
RATE = 16000


def sample(**fields: Any) -> Sample:
    """A sample, its key made of its content."""
    return Sample(key=content_key(fields), fields=fields)


def texts() -> list[Sample]:
    """Three texts."""
    return [sample(text=text) for text in TEXTS]


def pictures(height: int = 28, width: int = 28, count: int = 2, **more: Any) -> list[Sample]:
    """uint8 [H, W, 3]."""
    generator = np.random.default_rng(0)
    return [
        sample(image=generator.integers(256, size=(height, width, 3), dtype=np.uint8), **more) for _ in range(count)
    ]


def sounds(length: int = 3200, rate: int = RATE, count: int = 2, **more: Any) -> list[Sample]:
    """float32 [N]."""
    generator = np.random.default_rng(0)
    waves = [0.1 * generator.standard_normal(length).astype(np.float32) for _ in range(count)]
    return [sample(audio=wave, rate=rate, **more) for wave in waves]


def films(frames: int = 4, side: int = 16, count: int = 2) -> list[Sample]:
    """uint8 [T, H, W, 3]."""
    generator = np.random.default_rng(0)
    size = (frames, side, side, 3)
    return [sample(video=generator.integers(256, size=size, dtype=np.uint8)) for _ in range(count)]


@cache
def _trained(special: tuple[str, ...]) -> str:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 20, special_tokens=list(special), initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    return inner.to_str()


def tokenizer(special: Mapping[str, str] | None = None, kind: Any = None, **more: Any) -> Any:
    """A byte-level BPE tokenizer with <s> = 0, </s> = 1 and further special tokens (attribute -> text)."""
    extra = dict(special or {})
    inner = Tokenizer.from_str(_trained(("<s>", "</s>", *dict.fromkeys(extra.values()))))
    kind = kind or hf.PreTrainedTokenizerFast
    named = {"extra_special_tokens": extra} if extra else {}
    return kind(tokenizer_object=inner, **ENDS_IN_TEXT, **named, **more)


def token(words: Any, text: str) -> int:
    """The id of a special token."""
    return int(words.convert_tokens_to_ids(text))


def save(folder: Path, model: Any, *processors: Any, shard: str = "40KB") -> None:
    """Writes a checkpoint as transformers would, in shards."""
    model.save_pretrained(folder, max_shard_size=shard)
    for processor in processors:
        processor.save_pretrained(folder)


def shards(folder: Path, stored: Mapping[str, Any], count: int = 3) -> None:
    """Writes tensors as numbered shards with their index, as the hub has them."""
    from safetensors.torch import save_file

    names = sorted(stored)
    where = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        own = names[number::count]
        save_file({name: stored[name].detach().clone().contiguous() for name in own}, folder / file)
        where |= dict.fromkeys(own, file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def also(folder: Path, names: Sequence[str]) -> None:
    """Adds a shard of tensors that no class of transformers takes, as published files have them."""
    import torch

    more(folder, {name: torch.ones(2, 2) for name in names})


def more(folder: Path, tensors: Mapping[str, Any]) -> None:
    """Adds a shard of further tensors."""
    from safetensors.torch import save_file

    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_text(encoding="utf-8"))
    stored = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / "model-more.safetensors")
    known["weight_map"] |= dict.fromkeys(tensors, "model-more.safetensors")
    index.write_text(json.dumps(known), encoding="utf-8")


def renamed(folder: Path, endings: Mapping[str, str]) -> None:
    """Gives tensors the endings that the published file has (transformers reads both, and writes the newer)."""
    from safetensors.torch import load_file

    stored: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        stored |= load_file(file)
        file.unlink()

    def old(name: str) -> str:
        return next((name.removesuffix(new) + was for new, was in endings.items() if name.endswith(new)), name)

    shards(folder, {old(name): tensor for name, tensor in stored.items()})


def jittered(model: Any) -> Any:
    """The model with weights that are nowhere zero or one: a norm or bias that is lost would show."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def three(items: Sequence[Any]) -> list[Any]:
    """The first three."""
    return list(items[:3])
