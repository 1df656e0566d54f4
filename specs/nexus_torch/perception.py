"""What towers that perceive have in common: patches through a small encoder, a resampler to a few latents, a head.

Encoder: pre-norm transformer (https://arxiv.org/abs/2010.11929). Resampler: learned queries that attend to the
encoder's output (Perceiver, https://arxiv.org/abs/2103.03206). Shapes: B samples, N patches, d the encoder's width,
n latents, D the core's width, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from nexus_specs import Adapter, Blueprint, NexusError, Profile
from torch import Tensor, nn
from torch.nn import functional

from .perceiving import PerceptionOptions
from .profiles import preprocessor

WIDTHS = range(8, 1025, 4)
"""Widths that are tried for an encoder; heads must divide them."""
POSITION = 0.5
"""Spread of the position embeddings at first. As small as is usual (0.02) they are drowned by what is seen, and short
training spends a third of its steps before it tells places apart (motion, 600 steps: 0.92 against 0.86)."""


class Block(nn.Module):
    """One residual layer of the encoder: [B, N, d] -> [B, N, d]."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mixing = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """The hidden state with what attention and feed-forward add."""
        found = self.queries_keys_values(self.before_attention(hidden)).unflatten(-1, (3, self.heads, -1))
        query, key, value = found.permute(2, 0, 3, 1, 4)
        hidden = hidden + self.out(attended(query, key, value).transpose(1, 2).flatten(2))
        added: Tensor = self.down(functional.gelu(self.up(self.before_mixing(hidden))))
        return hidden + added


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention [B, H, N, d] over all patches. Trained on a processor it is two plain products: torch's fused kernel is
    ten times slower there in bfloat16 (64 x 4 heads x 64 patches x 12: 26 ms forward and backward against 2.5)."""
    if query.is_cuda or not query.requires_grad:
        return functional.scaled_dot_product_attention(query, key, value)
    queries, keys, values = (each.flatten(0, 1) for each in (query * query.shape[-1] ** -0.5, key, value))
    return torch.bmm(torch.softmax(torch.bmm(queries, keys.mT), -1), values).unflatten(0, query.shape[:2])


class Resampler(nn.Module):
    """A few latents of the core's width from any number of patches: [B, N, d] -> [B, n, D]."""

    def __init__(self, width: int, latents: int, core: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, width) * 0.5)
        self.norm = nn.LayerNorm(width)
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.lift = nn.Linear(width, core)

    def forward(self, patches: Tensor) -> Tensor:
        """What each latent found."""
        patches = self.norm(patches)
        scores = self.latents.to(patches.dtype) @ self.key(patches).mT * patches.shape[-1] ** -0.5
        found: Tensor = self.lift(torch.softmax(scores, -1) @ self.value(patches))
        return found


class Perceiver(nn.Module):
    """A tower's own weights: `front` turns media into patches [B, N, d]; then encoder, resampler and, where it answers
    with classes or a vector, a head."""

    def __init__(self, front: nn.Module, count: int, width: int, core: int, options: PerceptionOptions) -> None:
        super().__init__()
        self.front = front
        self.position = nn.Parameter(torch.randn(count, width) * POSITION)
        self.layers = nn.ModuleList(Block(width, options.heads, options.ratio) for _ in range(options.depth))
        self.resampler = Resampler(width, options.latents, core)

    def encode(self, **media: Tensor) -> Tensor:
        """[B, n, D]"""
        hidden = self.front(**media) + self.position
        for layer in self.layers:
            hidden = layer(hidden)
        found: Tensor = self.resampler(hidden)
        return found


class Classifier(Perceiver):
    """One that answers itself, from its latents and from what the core made of them."""

    def __init__(self, front: nn.Module, count: int, width: int, core: int, options: PerceptionOptions) -> None:
        super().__init__(front, count, width, core, options)
        self.head_norm = nn.LayerNorm(core)
        self.head = nn.Linear(2 * core, options.classes)

    def decode(self, hidden: Tensor, latents: Tensor) -> Tensor:
        """The core's state [B, D] and latents [B, n, D] -> [B, C]"""
        seen = self.head_norm(latents.mean(1))
        found: Tensor = self.head(torch.cat([seen, hidden.to(seen.dtype)], -1))
        return found


class PerceptionTower:
    """The part of a tower that does not depend on the modality. A subclass says how large its media are (`sized`), how
    they become patches (`front`), and how samples become tensors (`collate`)."""

    options: Any

    def sized(self, profiles: Sequence[Profile]) -> Any:
        """The options with sizes found from the teachers, where they leave them open."""
        raise NotImplementedError

    def front(self, options: Any, width: int) -> tuple[nn.Module, int]:
        """The module that makes patches of this width, and how many it makes."""
        raise NotImplementedError

    def adapter(self, core: Blueprint, profiles: Sequence[Profile]) -> Adapter:
        """Cross-attention into the core, by default behind every fourth layer."""
        return Adapter(how="cross_attention", rank=self.options.rank)

    def build(self, core: Blueprint, profiles: Sequence[Profile]) -> nn.Module:
        """Encoder, resampler and head; afterwards `config` makes an equal one."""
        options = self.sized(profiles)
        options = replace(options, classes=options.classes or outputs(profiles))
        inner, make = core.stacks[0].widths[0], Classifier if options.classes else Perceiver

        def built(width: int) -> nn.Module:
            front, count = self.front(options, width)
            return make(front, count, width, inner, options)

        width = options.width or widest(built, options, room(core, profiles, options))
        self.options = replace(options, width=width)
        return built(width)

    def config(self) -> Mapping[str, Any]:
        """The options as they were resolved."""
        return asdict(self.options)


def outputs(profiles: Sequence[Profile]) -> int:
    """How many numbers the teachers answer with: classes, else the width of an embedding, else 0 (text)."""
    for blueprint in (profile.blueprint for profile in profiles):
        if blueprint.classes:
            return len(blueprint.classes)
        if "embedding" in blueprint.gives:
            return max(blueprint.largest_stack.widths)
    return 0


def room(core: Blueprint, profiles: Sequence[Profile], options: PerceptionOptions) -> int:
    """Parameters that the tower's own modules may have, beside its cross-attention."""
    if not profiles:
        raise NexusError("A tower without a teacher cannot find its size. Set its option `width`.")
    teacher = min(profile.blueprint.parameters for profile in profiles)
    inner, crossings = core.stacks[0].widths[0], max(1, core.stacks[0].count // 4)
    return int(options.share * teacher) - crossings * (4 * options.rank + 2) * inner - crossings


def widest(built: Callable[[int], nn.Module], options: PerceptionOptions, most: int) -> int:
    """The largest width whose modules have at most `most` parameters."""
    best = 0
    for width in WIDTHS:
        if width % options.heads:
            continue
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in built(width).parameters())
        if size > most:
            break
        best = width
    if not best:
        raise NexusError(
            f"No encoder fits: {max(most, 0):,} parameters are left for it. Raise the tower's option `share` (at most "
            "0.5), or lower `depth` or `rank`, or take a narrower core."
        )
    return best


def teacher_settings(profiles: Sequence[Profile]) -> dict[str, Any]:
    """What the teacher's config.json and processor say about its media; {} where neither is there."""
    found: dict[str, Any] = {}
    for profile in profiles[:1]:
        for name in ("config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
            path = preprocessor(profile) / name
            if path.exists():
                found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def number(settings: Mapping[str, Any], name: str, otherwise: int) -> int:
    """A whole number of the teacher's settings; of a pair or a mapping, the first."""
    value = settings.get(name, otherwise)
    if isinstance(value, Mapping):
        value = next(iter(value.values()), otherwise)
    return int(value[0] if isinstance(value, (list, tuple)) else value or otherwise)


def pixels(media: Tensor, size: int) -> Tensor:
    """Images uint8 [N, H, W] or [N, H, W, C] as uint8 [N, 3, size, size]: the middle square, in colour."""
    media = media[..., None] if media.ndim == 3 else media
    media = media[..., :3] if media.shape[-1] >= 3 else media[..., :1].expand(*media.shape[:-1], 3)
    height, width = media.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = media[:, top : top + side, left : left + side].permute(0, 3, 1, 2)
    if side == size:
        return square.contiguous()
    resized = functional.interpolate(square.float(), (size, size), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)
