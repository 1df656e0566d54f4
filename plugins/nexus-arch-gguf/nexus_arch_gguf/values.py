"""From the values in a GGUF file back to those of Hugging Face: what llama.cpp's converter did, undone.

Each function takes the stored tensors (float, in the order of torch) and the target, and returns the target's tensor.
Source of each: `modify_tensors` of the architecture in llama.cpp's `conversion/`. Shapes: H heads, D head width, E
experts, I inner width, W residual width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """Where a tensor goes."""

    name: str
    shape: tuple[int, ...]
    layer: int
    """Number of its layer; -1 outside of layers."""
    config: Any
    """The configuration of the text model."""


Undo = Callable[[Sequence[Tensor], Target], Tensor]


def same(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """As stored, but for dimensions of one: llama.cpp drops or adds them."""
    (tensor,) = tensors
    if [each for each in tensor.shape if each != 1] != [each for each in target.shape if each != 1]:
        raise NexusError(
            f"The weight '{target.name}' should have the shape {target.shape}, and the file gives "
            f"{tuple(tensor.shape)}. Its metadata and tensors do not belong together: fetch or convert it again."
        )
    return tensor.reshape(target.shape)


def flat(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Norms of state spaces: the file holds a row for each group."""
    return same([tensors[0].flatten()], target)


def minus_one(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Norms that compute `x * (1 + weight)`: the file holds 1 + weight."""
    return same(tensors, target) - 1.0


BY_ROWS: frozenset[Undo] = frozenset({same, minus_one})
"""Those that make each row of a weight of the same row of the one tensor that is stored."""


def transposed(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """The last two dimensions exchanged: Conv1D of gpt2, fused experts that multiply from the other side."""
    return tensors[0].transpose(-1, -2).reshape(target.shape).contiguous()


def log_of_negative(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """State space models: the file holds A = -exp(A_log)."""
    return torch.log(-same(tensors, target))


def joined(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Parts one after the other along the rows (fused experts: [E, I, W] twice -> [E, 2 I, W])."""
    rows = 1 if len(target.shape) == 3 else 0
    return same([torch.cat(tuple(tensors), rows)], target)


def one_each(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """A tensor for each expert, those of the gates before those that go up: [I, W] each -> [E, I, W] or [E, 2 I, W]."""
    experts = target.shape[0]
    parts = [torch.stack(tuple(tensors[at : at + experts])) for at in range(0, len(tensors), experts)]
    return same([torch.cat(parts, 1)], target)


def joined_transposed(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Parts joined along the rows, then rows and columns exchanged: [E, I, W] twice -> [E, W, 2 I]."""
    return torch.cat(tuple(tensors), 1).transpose(1, 2).reshape(target.shape).contiguous()


def interleaved_transposed(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """gpt-oss: gate and up take turns, [E, I, W] twice -> [E, W, 2 I]; biases [E, I] twice -> [E, 2 I]."""
    mixed = torch.stack(tuple(tensors), 2).flatten(1, 2)
    return same([mixed.transpose(1, 2) if mixed.ndim == 3 else mixed], target).contiguous()


def rotated(count: str) -> Undo:
    """Rows of queries or keys from pairs side by side back to halves; `count` names the number of heads.

    llama.cpp rotates neighbours, transformers element i and i + D / 2: the converter reorders the rows of each head.
    """

    def undo(tensors: Sequence[Tensor], target: Target) -> Tensor:
        heads = per_layer(getattr(target.config, count), target.layer)
        (tensor,) = tensors
        halves = tensor.reshape(heads, tensor.shape[0] // heads // 2, 2, *tensor.shape[1:])
        return same([halves.transpose(1, 2).reshape(tensor.shape)], target)

    return undo


def side_by_side(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Rows that turn from halves back to pairs side by side; those of a head that do not turn stay (GLM-4V)."""
    (tensor,), config = tensors, target.config
    heads = tensor.reshape(-1, int(config.head_dim), *tensor.shape[1:])
    width = int(config.head_dim * config.rope_parameters.get("partial_rotary_factor", 1.0)) // 2 * 2
    turning = torch.stack([heads[:, : width // 2], heads[:, width // 2 : width]], 2).flatten(1, 2)
    return same([torch.cat([turning, heads[:, width:]], 1).reshape(tensor.shape)], target)


def query_key_value(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Bloom and GPT-NeoX: all queries, all keys, all values -> by head a query, a key and a value."""
    (tensor,) = tensors
    heads = int(target.config.num_attention_heads)
    split = tensor.reshape(3, heads, tensor.shape[0] // heads // 3, *tensor.shape[1:])
    return split.transpose(0, 1).reshape(target.shape).contiguous()


def falcon_groups(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Falcon: all queries, all keys, all values -> by group its queries, its key and its value."""
    (tensor,) = tensors
    heads = int(target.config.num_attention_heads)
    groups = falcon_key_heads(target.config)
    width = tensor.shape[0] // (heads + 2 * groups)
    parts = tensor.split([heads * width, groups * width, groups * width])
    shaped = [part.reshape(groups, -1, width, *tensor.shape[1:]) for part in parts]
    return torch.cat(shaped, 1).reshape(target.shape).contiguous()


def falcon_key_heads(config: Any) -> int:
    """Heads of keys in a Falcon."""
    if config.new_decoder_architecture:
        return int(config.num_kv_heads)
    return 1 if config.multi_query else int(config.num_attention_heads)


def latent_keys_and_values(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Latent attention: keys [H, rank, D_k], transposed, and values [H, D_v, rank] -> [H (D_k + D_v), rank]."""
    keys, values = tensors
    return same([torch.cat([keys.transpose(1, 2), values], 1).flatten(0, 1)], target).contiguous()


def integers(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """A table of whole numbers, which GGUF holds in 32 bits."""
    return same(tensors, target).long()


def per_layer(value: Any, layer: int) -> int:
    """A setting that may be a list with a value for each layer."""
    return int(value[layer] if isinstance(value, (list, tuple)) else value)


def first_halves(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Chameleon's norms of queries and keys: the file repeats one head's, rotated; every head has the same."""
    (tensor,) = tensors
    heads, width = target.shape
    one = tensor.reshape(-1, width)[0].reshape(width // 2, 2).T.reshape(1, width)
    return one.repeat(heads, 1)


def stacked_row(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """One of several equal tensors that the file stacks; its number stands in the target's name."""
    number = int(next(part for part in target.name.split(".") if part.isdecimal()))
    return same([tensors[0][number]], target)


def merged_experts(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """DBRX: [E, I, W] -> [E I, W]."""
    return tensors[0].reshape(target.shape)


def merged_experts_transposed(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """DBRX's way back: [E, W, I] -> [E I, W]."""
    return tensors[0].transpose(1, 2).reshape(target.shape).contiguous()


def behind_padding(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """RoBERTa: rows for positions that no token has stand before the others; here they are zero."""
    (tensor,) = tensors
    return torch.cat([tensor.new_zeros(target.shape[0] - tensor.shape[0], tensor.shape[1]), tensor])


def convolutions(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Kimi Linear: kernels of queries, keys and values one after the other, [channels, 1, width]."""
    return same([torch.cat([each.reshape(-1, 1, target.shape[-1]) for each in tensors])], target)


def third(number: int) -> Undo:
    """A third of the rows: queries, keys and values that the file fuses."""
    return lambda tensors, target: same([tensors[0].chunk(3)[number]], target).contiguous()


def head_row(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """The norm of one head; its number is the last in the target's name."""
    number = int([part for part in target.name.split(".") if part.isdecimal()][-1])
    return same([tensors[0][number]], target)
