"""A tower as it sits beside the core: low-rank changes, cross-attention, its own modules, its vocabulary.

Its folder: `tower.json`, PEFT's adapter files, `own.safetensors`, `vocabulary/` (tokenizer and embedding), and in a
release the router's `row.json` and `row.safetensors`. Nothing in it names another tower.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import NexusError
from torch import Tensor, nn

from .cross_attention import GatedCrossAttention, crossed_layers
from .lora import EmbeddingLoRA, LoRA
from .specs import TowerSpec
from .vocabulary import CoreVocabulary, Vocabulary

HOW, VOCABULARIES = ("lora", "cross_attention"), ("core", "own")
_TAKEN = nn.ModuleDict()
"""Whose attributes are no keys."""


class TowerModule(nn.Module):
    """The weights of one tower, made for one core. All changes are zero until trained or loaded."""

    def __init__(
        self, spec: TowerSpec, core: Any, linears: tuple[str, ...], layers: int, own: nn.Module | None
    ) -> None:
        super().__init__()
        self.spec = spec
        adapter, width = spec.adapter, core.config.get_text_config().hidden_size
        check_adapter(spec, layers)
        self.own = own
        self.lora = nn.ModuleDict()
        self.cross = nn.ModuleDict()
        if adapter.how == "lora":
            wanted = [path for path in linears if not adapter.layers or _layer(path) in adapter.layers]
            self.lora.update({slot(path): self._pair(core.get_submodule(path)) for path in wanted})
            self.paths = {path: slot(path) for path in wanted}
        else:
            self.paths = {}
            for layer in crossed_layers(layers, adapter.layers):
                self.cross[str(layer)] = GatedCrossAttention(width, adapter.rank)
        self.vocabulary = Vocabulary(spec.words, width) if spec.words else None
        self.words: EmbeddingLoRA | None = None
        if adapter.embeddings and not spec.words:
            size = core.get_input_embeddings().weight.shape[0]
            self.words = EmbeddingLoRA(size, width, adapter.embeddings, spec.alpha)

    def _pair(self, linear: nn.Module) -> LoRA:
        rows, columns = linear.weight.shape  # type: ignore[misc, union-attr]
        outputs, inputs = (rows, columns) if isinstance(linear, nn.Linear) else (columns, rows)
        return LoRA(outputs, inputs, min(self.spec.adapter.rank, outputs, inputs), self.spec.alpha)

    def delta(self, path: str) -> Tensor | None:
        """The change of a core matrix [out, in]; None where it changes nothing."""
        name = self.paths.get(path)
        return None if name is None else self.lora[name].delta()  # type: ignore[operator]

    def seen(self, layer: int, hidden: Tensor, latents: Tensor, share: float) -> Tensor:
        """Hidden states [B, T, D] behind a layer, with what cross-attention to latents [B, n, D] adds."""
        if str(layer) not in self.cross:
            return hidden
        return hidden + share * self.cross[str(layer)](hidden, latents)

    def vocabulary_for(self, core: Any) -> Vocabulary | CoreVocabulary:
        """Its own vocabulary, or the core's with its change."""
        return self.vocabulary if self.vocabulary is not None else CoreVocabulary(core, self.words)

    @property
    def answers_in_text(self) -> bool:
        """False for a perceiving tower with an output head of its own."""
        return self.own is None or not hasattr(self.own, "decode")

    def sizes(self, core: Any) -> dict[str, int]:
        """Parameters by part, and "total": all that the tower adds to a release."""
        parts = {"lora": self.lora, "cross_attention": self.cross, "own": self.own, "vocabulary": self.vocabulary,
                 "embedding_adapter": self.words}  # fmt: skip
        found = {
            name: sum(each.numel() for each in part.parameters()) for name, part in parts.items() if part is not None
        }
        return {name: size for name, size in found.items() if size} | {"total": sum(found.values())}


def slot(name: str) -> str:
    """A name as a key of `nn.ModuleDict`, where dots and names of its own attributes are not allowed. No other name has
    the same one: ids hold no colon, and begin with none.

    >>> slot("qwen2.5"), slot("qwen2-5"), slot("half")
    ('qwen2:5', 'qwen2-5', ':half')
    """
    key = name.replace(".", ":")
    return f":{key}" if hasattr(_TAKEN, key) else key


def check_adapter(spec: TowerSpec, layers: int) -> None:
    """What a tower changes has to be there: of a layer that the core has not, nothing would ever be learned."""
    adapter, said = spec.adapter, ""
    if adapter.how not in HOW or adapter.vocabulary not in VOCABULARIES:
        said = f"how={adapter.how!r}, vocabulary={adapter.vocabulary!r}. Allowed: {', '.join(HOW + VOCABULARIES)}"
    elif adapter.rank < 1 or adapter.embeddings < 0:
        said = f"rank={adapter.rank}, embeddings={adapter.embeddings}. A rank is 1 or more; embeddings 0 or more"
    elif outside := [layer for layer in adapter.layers if not 0 <= layer < layers]:
        said = f"the core has no layers {outside}, only 0 to {layers - 1}"
    if said:
        raise NexusError(f"The adapter of the tower component '{spec.component}' fits no core: {said}.")


def check_mix(towers: Mapping[str, TowerModule]) -> None:
    """Towers that act together must read and write the same vocabulary, and see nothing."""
    odd = [name for name, tower in towers.items() if tower.vocabulary is not None or tower.own is not None]
    if len(towers) > 1 and odd:
        raise NexusError(
            f"Towers {', '.join(sorted(towers))} cannot act together: {', '.join(sorted(odd))} has a vocabulary or "
            "an encoder of its own. Name one tower."
        )


def _layer(path: str) -> int:
    return next(int(part) for part in path.split(".") if part.isdigit())
