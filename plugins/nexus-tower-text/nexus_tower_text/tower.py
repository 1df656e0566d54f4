"""The text tower: nothing but an adapter of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from nexus_specs import Adapter, Batch, Blueprint, NexusError, Profile, Sample

from .options import TextOptions


class TextTower:
    """Low-rank adapters on every linear layer of the core, after LoRA (https://arxiv.org/abs/2106.09685)."""

    def __init__(self, **options: Any) -> None:
        given = TextOptions(**options)
        self.options = replace(given, layers=tuple(given.layers))

    def adapter(self, core: Blueprint, profiles: Sequence[Profile]) -> Adapter:
        """A vocabulary of its own where a teacher's tokens are not the core's."""
        own = self.options.vocabulary == "own" or (
            self.options.vocabulary == "auto" and any(each.blueprint.tokenizer != core.tokenizer for each in profiles)
        )
        tokenizers = {each.blueprint.tokenizer for each in profiles}
        if own and len(tokenizers) > 1:
            raise NexusError(
                f"The teachers {', '.join(each.teacher for each in profiles)} of one text tower have different "
                "tokenizers. Give each a tower of its own, or set the tower's option `vocabulary: core`."
            )
        return Adapter(
            how="lora",
            rank=self.options.rank,
            layers=self.options.layers,
            vocabulary="own" if own else "core",
            embeddings=0 if own else self.options.embeddings,
        )

    def build(self, core: Blueprint, profiles: Sequence[Profile]) -> None:
        """No weights of its own."""

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The student reads texts itself."""
        return {}

    def config(self) -> Mapping[str, Any]:
        """The options."""
        return asdict(self.options) | {"layers": list(self.options.layers)}
