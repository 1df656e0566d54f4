"""Which weights an adapter changes, and how: `weight + scaling * B @ A`, or another weight altogether.

Sources: LoRA, https://arxiv.org/abs/2106.09685; rank-stabilised, https://arxiv.org/abs/2312.03732; DoRA,
https://arxiv.org/abs/2402.09353; the names of stored tensors as PEFT 0.21 writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nexus_specs import Extent, NexusError
from torch import Tensor

from .parameters import by_experts, grouped, targets
from .parameters import merged as merged_experts
from .products import ROLES, SCALES, product, scaled, whole
from .remaking import FOLDED, KINDS, NEEDS, OTHERS, OUTPUTS, SHARED, TOKENS, remade, remakes
from .settings import Settings

PREFIX = "base_model.model."
ROLE = re.compile(rf"\.({'|'.join((*ROLES, *KINDS, *OTHERS))})(\.default)?(\.weight)?$")
WRAPPED = re.compile(r"\.(base_layer|token_adapter|(modules_to_save|ln_tuning_layers)(\.default)?)(?=\.|$)")
"""What PEFT puts into the names of modules that it wraps."""
ADDED = "lora_bias"
"""The role of what is added to a bias."""
BIAS = re.compile(r"\.lora_B(\.default)?\.bias$")
ROWS = "trainable_tokens_delta"
"""The role of rows of some tokens."""
BEFORE, TRAINED = ".original_module.", ".modules_to_save."
"""In the names of copies that PEFT writes beside each other where an embedding or a head grew: as it was, and as it
is."""


@dataclass(frozen=True)
class Change:
    """What an adapter does to one tensor."""

    name: str
    """The tensor, as PEFT's module paths have it: "model.layers.0.self_attn.q_proj.weight"."""
    stored: Mapping[str, Extent]
    """Role -> where it lies; "whole" replaces the tensor."""
    scaling: float
    outward: bool = False
    """Whether the base holds it as [inputs, outputs] (GPT-2's Conv1D)."""

    optional: bool = False
    """Whether the base may be without it: the bias of what IA3 scales."""
    experts: int = 0
    """How many experts the tensor holds, each with a product of its own; 0: it is one matrix."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the adapter's settings say to the kinds that make a weight anew."""

    @property
    def of_rows(self) -> bool:
        """Whether it puts rows of some tokens into an embedding: what is tied to that one has them, too."""
        return remakes(self.stored) == ROWS

    def check(self, shape: tuple[int, ...]) -> None:
        """NexusError for a weight of this shape that its kind is not read for."""
        main = remakes(self.stored)
        if main and main not in FOLDED and len(shape) > 2:
            raise NexusError(f"'{main}' of a convolution ('{self.name}') is not read. Merge the adapter with PEFT.")
        if self.of_rows and (last := max(self.told[TOKENS], default=0)) >= shape[0]:
            raise NexusError(
                f"The adapter has a row for the token {last} of '{self.name}', which has {shape[0]} rows: its base "
                "grew before it was trained. Name the base that has these rows: BASE+ADAPTER."
            )

    def merged(self, weight: Tensor, found: Mapping[str, Tensor], first: int = 0) -> Tensor:
        """The changed tensor, in float32 where something was added. `found`: stored tensors by role; `first`: the
        expert that the weight begins with."""
        if self.experts:
            return self._of_experts(weight, found, first)
        if "whole" in found:
            weight = found["whole"]
        if ADDED in found:
            return weight.float() + self.scaling * found[ADDED].float()
        if SCALES in found:
            return self._scaled(weight, found[SCALES])
        if remakes(found):
            return self._remade(weight, found)
        delta = self._delta(weight, found)
        if delta is None:
            return weight
        try:
            merged = weight.float() + self.scaling * delta
        except RuntimeError as error:
            raise NexusError(f"The adapter's product for '{self.name}' does not fit the base: {error}.") from error
        if "lora_magnitude_vector" not in found:
            return merged
        rows = 0 if self.outward else 1
        norm = merged.norm(dim=rows, keepdim=True)
        return merged * (found["lora_magnitude_vector"].float().reshape(norm.shape) / norm)

    def _remade(self, weight: Tensor, found: Mapping[str, Tensor]) -> Tensor:
        plain = weight.float().T if self.outward else weight.float()
        try:
            made = remade(plain, found, self.told)
        except (RuntimeError, ValueError, IndexError) as error:
            raise NexusError(
                f"The adapter's tensors for '{self.name}' do not fit the base, whose weight is {tuple(weight.shape)}: "
                f"{error}."
            ) from error
        return made.T.contiguous() if self.outward else made

    def _of_experts(self, weight: Tensor, found: Mapping[str, Tensor], first: int) -> Tensor:
        try:
            return merged_experts(weight, found, self.scaling, first=first, outward=self.outward)
        except RuntimeError as error:
            raise NexusError(
                f"The adapter's products for the experts '{self.name}' do not fit the base, whose weight is "
                f"{tuple(weight.shape)}: {error}."
            ) from error

    def _scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The weight times what IA3 learned. NexusError where it has not as many outputs or inputs."""
        try:
            made = scaled(weight, scale, outward=self.outward)
        except RuntimeError:
            made = None
        if made is None or made.shape != weight.shape:
            raise NexusError(
                f"The adapter scales '{self.name}' by {tuple(scale.shape)} numbers; the weight is "
                f"{tuple(weight.shape)}. The adapter belongs to another base."
            )
        return made

    def _delta(self, weight: Tensor, found: Mapping[str, Tensor]) -> Tensor | None:
        try:
            delta = product(found)
        except RuntimeError as error:
            raise NexusError(f"The adapter's tensors for '{self.name}' do not fit each other: {error}.") from error
        if delta is None or "lora_embedding_A" in found:
            return delta
        if delta.numel() != weight.numel():
            raise NexusError(
                f"The adapter's product for '{self.name}' is {tuple(delta.shape)}; the weight is "
                f"{tuple(weight.shape)}. The adapter belongs to another base (a convolution in groups is not read)."
            )
        return delta.T if self.outward and "lora_A" in found else delta.reshape(weight.shape)


def changes(
    extents: Iterable[Extent], settings: Settings, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Change]:
    """Name of the tensor -> what happens to it. NexusError for an adapter that is not whole. `shapes`: of the base's
    parameters, in the order in which modules hold them."""
    groups: dict[str, dict[str, Extent]] = {}
    aimed = targets(shapes, settings.parameters)
    direct, extents = grouped(extents, aimed, PREFIX)
    shared = {SHARED[extent.key]: extent for extent in extents if extent.key in SHARED}
    known = [extent for extent in extents if BEFORE not in extent.key and extent.key not in SHARED]
    for extent in sorted(known, key=lambda each: TRAINED in each.key):      # what was trained comes last, and counts
        path = WRAPPED.sub("", extent.key.removeprefix(PREFIX))
        if BIAS.search(path):
            groups.setdefault(BIAS.sub(".bias", path), {})[ADDED] = extent
            continue
        found = ROLE.search(path)
        name, role = (f"{path[: found.start()]}.weight", found[1]) if found else (path, "whole")
        groups.setdefault(name, {})[role] = extent
    for stored in groups.values():
        stored |= {role: shared[role] for role in NEEDS.get(remakes(stored), ()) if role in shared}
    made = {name: _change(name, stored, settings) for name, stored in groups.items() if ADDED not in stored}
    made |= {name: _added(name, stored, made, settings) for name, stored in groups.items() if ADDED in stored}
    made |= {name: _direct(name, stored, settings, shapes[name]) for name, stored in direct.items()}
    return made | {each.name: each for name, stored in groups.items() for each in _biases(name, stored, made)}


def _direct(name: str, stored: Mapping[str, Extent], settings: Settings, shape: tuple[int, ...]) -> Change:
    """What happens to a parameter that is targeted itself: its patterns have the whole name."""
    if not whole(stored):
        raise NexusError(f"The adapter lacks a half of what it adds to '{name}'. Fetch its weights again.")
    experts = shape[0] if len(shape) == 3 else 0
    inner, outer = stored["lora_A"].shape, stored["lora_B"].shape
    if len(inner) != 2 or len(outer) != 2 or inner[0] != outer[1] or inner[0] % (experts or 1):
        shown = " and ".join(f"{role} {list(each.shape)}" for role, each in stored.items())
        raise NexusError(f"{shown} are no halves of products for '{name}' {list(shape)}. Fetch the adapter again.")
    stored = by_experts(stored, experts) if experts else stored
    rank = stored["lora_A"].shape[-2] or 1
    return Change(name=name, stored=stored, scaling=settings.scaling(name, rank), experts=experts)


def _added(
    name: str, stored: Mapping[str, Extent], made: Mapping[str, Change], settings: Settings
) -> Change:
    """What is added to the bias of a module beside the product for its weight, scaled alike."""
    weight = made.get(f"{name.removesuffix('bias')}weight")
    if weight is None or settings.dora:
        why = "with DoRA is not read. Merge the adapter once with PEFT" if weight else "has no product beside it"
        raise NexusError(f"What the adapter adds to '{name}' {why}.")
    return Change(name=name, stored=stored, scaling=weight.scaling)


def _biases(name: str, stored: Mapping[str, Extent], made: Mapping[str, Change]) -> Iterator[Change]:
    """IA3 and RoAd change what a module gives, with its bias; where IA3 scales what goes in (one row), the bias
    stays."""
    scale, bias = stored.get(SCALES), f"{name.removesuffix('weight')}bias"
    if scale is not None and scale.shape[0] > 1:
        own = made[bias].stored if bias in made else {}
        yield Change(name=bias, stored={**own, SCALES: scale}, scaling=1.0, optional=True)
    if remakes(stored) in OUTPUTS:
        yield replace(made[name], name=bias, optional=True)


def _change(name: str, stored: Mapping[str, Extent], settings: Settings) -> Change:
    main = remakes(stored)
    if not whole(stored) or any(role not in stored for role in NEEDS.get(main, ())):
        raise NexusError(f"The adapter lacks a half of what it adds to '{name}'. Fetch its weights again.")
    if settings.dora and "lora_embedding_A" in stored:
        raise NexusError(f"DoRA of embeddings ('{name}') is not read. Merge the adapter once with PEFT.")
    if SCALES in stored and len(stored[SCALES].shape) > 2:
        raise NexusError(f"IA3 of convolutions ('{name}') is not read. Merge the adapter once with PEFT.")
    inner = next((stored[role] for role in ("lora_A", "lora_embedding_A", "hada_w1_b") if role in stored), None)
    if inner is not None and settings.dora and len(inner.shape) > 2:
        raise NexusError(f"DoRA of convolutions ('{name}') is not read. Merge the adapter once with PEFT.")
    if main == "boft_R" and stored[main].shape[:1] != (1,):
        raise NexusError(f"BOFT of more than one factor ('{name}') is not read. Merge the adapter once with PEFT.")
    if main and not set(stored).isdisjoint(ROLES):
        raise NexusError(f"The adapter changes '{name}' in two ways, which is not read. Merge the adapter with PEFT.")
    if main:
        told = settings.told if main != ROWS else {TOKENS: settings.tokens_of(name.removesuffix(".weight"))}
        return Change(name=name, stored=stored, scaling=1.0, told=told)
    added = inner is not None or any(role.startswith("lokr_") for role in stored)
    if not added and SCALES not in stored and set(stored) != {"whole"}:
        raise NexusError(f"The adapter has {', '.join(stored)} for '{name}', and no product. Fetch its weights again.")
    rank = max(1, inner.shape[0]) if inner is not None else 1
    scaling = settings.scaling(name.removesuffix(".weight"), rank) if added else 1.0
    return Change(name=name, stored=stored, scaling=scaling)
