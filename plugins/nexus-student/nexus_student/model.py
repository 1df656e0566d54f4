"""The student as a Hugging Face model: one causal core, and towers that are loaded when they are first needed.

    model = NexusModel.from_pretrained("release/model")
    model.generate(tower="prose", input_ids=...)          # ids of that tower's vocabulary
    model(tower="digits", **batch).output                 # logits of its classes

`input_ids` belong to the tower named by `tower=`, else to the core. Shapes: B samples, T tokens, D width, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Lookup, NexusError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from .active import ROUTE, Route, adapt
from .config import NexusConfig
from .consolidation import Consolidation, read_consolidation
from .cores import CORE, layers_of, open_core, start_of
from .folders import open_tower, write_student
from .fused import evened
from .tower import TowerModule, check_mix, slot
from .vocabulary import CoreVocabulary, Vocabulary

TOWERS = "towers"
Towers = str | Mapping[str, float] | None
"""One tower, several with their weights, or the core alone."""


@dataclass
class NexusOutput(CausalLMOutputWithPast):
    """transformers' output, and what distillation reads."""

    last_hidden_state: Tensor | None = None
    """[B, T, D], before the head."""
    output: Tensor | None = None
    """[B, C], of a tower that answers with classes or a vector."""
    latents: Tensor | None = None
    """[B, n, D]"""
    head: Callable[[Tensor], Tensor] | None = None
    """[..., D] -> [..., V]"""


class NexusModel(PreTrainedModel, GenerationMixin):
    """A frozen causal core with towers."""

    config_class = NexusConfig
    base_model_prefix = "core"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: NexusConfig, core: nn.Module | None = None) -> None:
        super().__init__(config)
        self.core: Any = core if core is not None else AutoModelForCausalLM.from_config(config.core)
        self.layers = layers_of(self.core)
        self.linears = adapt(self.core, self.layers)
        self.towers = nn.ModuleDict()
        self.vocabularies = nn.ModuleDict()
        self.folder: Path | None = None
        self.lookup: Lookup | None = None
        self.consolidation: Consolidation | None = None
        self._folded: dict[str, Tensor] | None = None
        self.generation_config = self.core.generation_config
        self.post_init()

    # ------------------------------------------------------------------------------------------------ forward
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        tower: Towers = None,
        vocabulary: str = "",
        latents: Tensor | None = None,
        signal: bool = False,
        **media: Any,
    ) -> NexusOutput:
        """One forward of the core with a tower; `media` are the arguments of a perceiving tower's `encode`.

        `signal`: leave the logits to `head`, so that they can be made in pieces. `vocabulary` names one of
        `vocabularies` (while a core is trained); right-padded batches need no `attention_mask`.
        """
        towers = self.opened(tower)
        seeing = next((each for each, _ in towers if each.own is not None), None)
        if seeing is not None and latents is None and media:
            latents = seeing.own.encode(**media)
        words = self.words(towers, vocabulary)
        if inputs_embeds is None:
            inputs_embeds = words.embed(self._ids(input_ids, latents))
        length = inputs_embeds.shape[1]
        if attention_mask is None and position_ids is None and past_key_values is None and not use_cache:
            inputs_embeds = evened(inputs_embeds)
        with self._route(towers, latents):
            found = self.core.base_model(
                inputs_embeds=inputs_embeds, attention_mask=attention_mask, position_ids=position_ids,
                past_key_values=past_key_values, use_cache=bool(use_cache),
            )  # fmt: skip
        hidden = self._consolidated(found.last_hidden_state[:, :length], towers, latents)
        result = NexusOutput(last_hidden_state=hidden, latents=latents, past_key_values=found.past_key_values)
        if seeing is not None and not seeing.answers_in_text:
            result.output = seeing.own.decode(hidden[:, -1], latents)
        elif signal:
            result.head = words.logits
        else:
            result.logits = words.logits(hidden[:, -logits_to_keep:])
            result.loss = None if labels is None else next_token_loss(result.logits, labels)
        return result

    def _ids(self, input_ids: Tensor | None, latents: Tensor | None) -> Tensor:
        if input_ids is not None:
            return input_ids
        if latents is None:
            raise NexusError("The model was given neither input_ids nor what a tower perceives.")
        return torch.full((len(latents), 1), start_of(self.core), device=latents.device)

    def words(self, towers: tuple[tuple[TowerModule, float], ...], name: str = "") -> Vocabulary | CoreVocabulary:
        """The vocabulary that ids belong to."""
        if name and slot(name) in self.vocabularies:
            return self.vocabularies[slot(name)]  # type: ignore[return-value]
        if len(towers) == 1:
            return towers[0][0].vocabulary_for(self.core)
        return CoreVocabulary(self.core)

    def _consolidated(
        self, hidden: Tensor, towers: tuple[tuple[TowerModule, float], ...], latents: Tensor | None
    ) -> Tensor:
        if self.consolidation is None:
            return hidden
        return self.consolidation(hidden, {tower.spec.name: share for tower, share in towers}, latents)

    @contextmanager
    def _route(self, towers: tuple[tuple[TowerModule, float], ...], latents: Tensor | None) -> Iterator[None]:
        before = ROUTE.set(Route(towers, latents, self._folded) if towers else None)
        try:
            yield
        finally:
            ROUTE.reset(before)

    # ------------------------------------------------------------------------------------------------- towers
    def opened(self, tower: Towers) -> tuple[tuple[TowerModule, float], ...]:
        """The towers with their weights; those that are not loaded yet are, from the release's folder."""
        shares = {tower: 1.0} if isinstance(tower, str) and tower else dict(tower or {})
        found = {name: self.tower(name) for name in shares}
        check_mix(found)
        return tuple((found[name], share) for name, share in shares.items())

    def tower(self, name: str) -> TowerModule:
        """A tower, loaded when it is first asked for."""
        if slot(name) not in self.towers:
            self.attach(name, self._read(name))
        return self.towers[slot(name)]  # type: ignore[return-value]

    def attach(self, name: str, tower: TowerModule) -> None:
        """Puts a tower beside the core. It changes no weight that is there."""
        self.towers[slot(name)] = tower

    def _read(self, name: str) -> TowerModule:
        folder = None if self.folder is None else self.folder / TOWERS / name
        if folder is None or not (folder / "tower.json").exists():
            raise NexusError(f"This student has no tower '{name}'. It has: {', '.join(self.tower_names) or 'none'}.")
        tower = open_tower(folder, self, self.lookup)
        return tower.to(device=self.core.device).eval().requires_grad_(False)

    @property
    def tower_names(self) -> tuple[str, ...]:
        """All towers, loaded or not."""
        there = (
            set() if self.folder is None else {path.parent.name for path in (self.folder / TOWERS).glob("*/tower.json")}
        )
        return tuple(sorted(there | {tower.spec.name for tower in self.towers.values()}))  # type: ignore[union-attr]

    # ----------------------------------------------------------------------------------------- Hugging Face
    def get_input_embeddings(self) -> nn.Module:
        """The core's."""
        return self.core.get_input_embeddings()  # type: ignore[no-any-return]

    def get_output_embeddings(self) -> nn.Module:
        """The core's."""
        return self.core.get_output_embeddings()  # type: ignore[no-any-return]

    def init_weights(self) -> None:
        """Nothing: the core brings its weights, and towers start as the identity or are loaded."""

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' `generate`; the towers' changes are folded into the core's weights once an answer."""
        self._folded = {}
        try:
            return super().generate(*args, **kwargs)
        finally:
            self._folded = None

    @classmethod
    def from_pretrained(cls, folder: str | Path, **settings: Any) -> NexusModel:  # type: ignore[override]
        """Opens a student's folder: the core now, each tower when it is first needed.

        `consolidate=True` adds the consolidation step of its present towers; `lookup` is what makes towers. Other
        settings are those of the core's `from_pretrained` (dtype, attn_implementation, device_map).
        """
        path, lookup = Path(folder), settings.pop("lookup", None)
        consolidate = settings.pop("consolidate", False)
        settings.pop("trust_remote_code", None)
        config = settings.pop("config", None) or NexusConfig.from_pretrained(path)
        if config._attn_implementation is not None:  # the Auto classes leave what was asked for in the configuration
            settings.setdefault("attn_implementation", config._attn_implementation)
        if not (path / CORE / "config.json").exists():
            raise NexusError(f"'{path}' is no student: it has no '{CORE}' folder. Name a release's `model` folder.")
        core = open_core(path / CORE, **settings)
        core.config.name_or_path = ""  # where it lies now is nothing to keep
        config.core = core.config  # one object, so that what is set on the student reaches its core
        config._attn_implementation = core.config._attn_implementation
        model = cls(config, core)
        model.folder, model.lookup = path, lookup
        if consolidate:
            model.consolidation = read_consolidation(path).to(model.core.device)
        return model.eval()

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:  # type: ignore[override]
        """Writes config, core, all towers and their consolidation step to a folder that `from_pretrained` opens."""
        write_student(self, Path(folder))


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each token given those before it; -100 is left out."""
    return functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


AutoConfig.register(NexusConfig.model_type, NexusConfig, exist_ok=True)
AutoModel.register(NexusConfig, NexusModel, exist_ok=True)
AutoModelForCausalLM.register(NexusConfig, NexusModel, exist_ok=True)
