"""A Hugging Face checkpoint: names and meaning of its weights. The engine reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Part, Sample, Signal
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.text import tokenizer_hash

from .blueprint import blueprint, divide
from .classes import gives, skeleton, takes
from .collate import Preprocessor
from .conversion import Conversion
from .folder import copy_preprocessor, extents

ANSWER_TOKENS = 128
"""The longest answer that `generate` gives unless a sample says more ("max_new_tokens")."""


class HuggingFaceCheckpoint:
    """Kind "checkpoint" of a folder that transformers reads."""

    def __init__(self, home: Path, config: PreTrainedConfig) -> None:
        self.home, self.config = home, config
        module = skeleton(config)
        found = {extent.key: extent for extent in extents(home)}
        self.conversion = Conversion(module)
        self.targets = self.conversion.targets(list(found))
        self.parts: tuple[Part, ...] = divide(module, found, self.targets)
        kind = type(module)
        self.preprocessor = Preprocessor(
            home,
            takes(kind),
            generative=gives(kind) == ("text",),
            context=int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 0),
            channels=int(getattr(config, "num_channels", 3) or 3),
        )
        self.blueprint = blueprint(module, self.parts, self._tokenizer())

    def skeleton(self) -> nn.Module:
        """The module on the meta device. Its output carries the state before the head as `final`."""
        module = skeleton(self.config)
        if (head := module.get_output_embeddings()) is not None:
            _remember_state(module, head)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""
        return self.conversion.assemble(raw, self.targets)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its tokenizer or processor."""
        return self.preprocessor(samples)

    def lengths(self, samples: Sequence[Sample]) -> Sequence[int] | None:
        """Tokens of each sample, for those who put like lengths together; None where length is not what varies."""
        return self.preprocessor.lengths(samples)

    def read(self, output: Any, batch: Batch) -> Signal:
        """The forward's output in standard terms: logits of a vocabulary as outputs["logits"] with `hidden` before
        them; scores of classes as outputs["output"]; else an embedding."""
        if self.blueprint.gives == ("text",):
            return _text_signal(output, batch)
        if self.blueprint.gives == ("label",):
            return Signal(outputs={"output": output.logits})
        vector = _embedding(output, batch.get("attention_mask"))
        return Signal(outputs={"output": vector, "embedding": vector})

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """Greedy: the text that follows each sample's "prompt" (or "text"); the name of the likeliest class."""
        if self.blueprint.gives == ("text",):
            return self._continue(module, samples)
        signal = self.read(module(**self.collate(samples)), {})
        if self.blueprint.gives == ("label",):
            return [self.blueprint.labels[index] for index in signal.outputs["output"].argmax(-1).tolist()]
        return list(signal.outputs["embedding"])

    def save_preprocessor(self, folder: Path) -> None:
        """Copies what makes tensors of samples, never weights."""
        copy_preprocessor(self.home, folder)

    def _tokenizer(self) -> str:
        """The hash of the tokenizer; "" where there is none, which the blueprint reports as missing."""
        if "text" not in self.preprocessor.takes:
            return ""
        try:
            return tokenizer_hash(self.preprocessor.tokenizer)
        except NexusError:
            return ""

    def _continue(self, module: nn.Module, samples: Sequence[Sample]) -> list[str]:
        if self.blueprint.takes != ("text",) or not isinstance(module, PreTrainedModel):
            raise NexusError(f"'{self.home.name}' ({self.blueprint.head}) does not answer here yet: only decoders do.")
        tokenizer = self.preprocessor.tokenizer
        answers = []
        for sample in samples:                              # one at a time: padding on the left changes some models
            fields = dict(sample.fields)
            prompt = Sample(key=sample.key, fields={"text": fields.get("prompt", fields.get("text", ""))})
            batch = self.collate([prompt])
            longest = int(fields.get("max_new_tokens", ANSWER_TOKENS))
            # The end token stands in for a missing pad token; one prompt needs no padding.
            limits = {"max_new_tokens": longest, **_stops(tokenizer)}
            made = module.generate(**batch, do_sample=False, use_cache=True, **limits)
            answers.append(tokenizer.decode(made[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))
        return answers


def _stops(tokenizer: Any) -> dict[str, int]:
    return {} if tokenizer.eos_token_id is None else {"pad_token_id": int(tokenizer.eos_token_id)}


def _remember_state(module: nn.Module, head: nn.Module) -> None:
    """Lets the output carry what went into the head: the same object, taken when the head runs."""
    last: list[Tensor] = []

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        last[:] = inputs[:1]

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        if last and output is not None:
            object.__setattr__(output, "final", last.pop())
        return output

    head.register_forward_pre_hook(before)
    module.register_forward_hook(after)


def _text_signal(output: Any, batch: Batch) -> Signal:
    side = getattr(batch, "side", {})
    mask = batch.get("attention_mask")
    return Signal(
        hidden=getattr(output, "final", None),
        tokens=batch.get("input_ids"),
        mask=None if mask is None else mask.bool(),
        spans=side.get("spans"),
        outputs={"logits": output.logits},
    )


def _embedding(output: Any, mask: Tensor | None) -> Tensor:
    for name in ("image_embeds", "text_embeds", "embeddings", "pooler_output"):
        if (found := getattr(output, name, None)) is not None:
            return found
    states = output.last_hidden_state if hasattr(output, "last_hidden_state") else output[0]
    if states.ndim != 3:
        return states.flatten(2).mean(-1) if states.ndim == 4 else states
    weight = torch.ones(states.shape[:2]) if mask is None else mask
    weight = weight.to(states)[..., None]
    return (states * weight).sum(1) / weight.sum(1)
