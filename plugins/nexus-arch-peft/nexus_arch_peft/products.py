"""What kinds of adapters add to a weight, or multiply it with, made of their stored tensors.

Sources: LoHa and LoKr, https://arxiv.org/abs/2309.14859 (LyCORIS); AdaLoRA, https://arxiv.org/abs/2303.10512; IA3,
https://arxiv.org/abs/2205.05638; the names of stored tensors as PEFT 0.21 writes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALES = "ia3_l"
"""The role of what multiplies a weight."""
PAIRS = (
    ("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"), ("hada_w1_a", "hada_w1_b"),
    ("hada_w2_a", "hada_w2_b"), ("hada_w1_a", "hada_w2_a"), ("hada_t1", "hada_t2"), ("lokr_w1_a", "lokr_w1_b"),
    ("lokr_w2_a", "lokr_w2_b"), ("gralora_A_general", "gralora_B_general"),
)  # fmt: skip
"""Roles of which none is there without the other."""
ROLES = (
    "lora_A", "lora_B", "lora_E", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector", SCALES,
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
)  # fmt: skip
"""All that an adapter stores beside whole tensors."""


def whole(roles: Mapping[str, object]) -> bool:
    """Whether nothing of a product is missing."""
    kron = [f"lokr_{half}" in roles or f"lokr_{half}_a" in roles for half in ("w1", "w2")]
    return all((one in roles) == (other in roles) for one, other in PAIRS) and kron[0] == kron[1]


def product(found: Mapping[str, Tensor]) -> Tensor | None:
    """The product that is added, in float32; None where these tensors make none."""
    role = {name: each.float() for name, each in found.items()}
    if "lora_embedding_A" in role:
        return (role["lora_embedding_B"] @ role["lora_embedding_A"]).T
    if "lora_A" in role:
        inner = role["lora_A"] * role["lora_E"] if "lora_E" in role else role["lora_A"]
        return role["lora_B"].flatten(1) @ inner.flatten(1)
    if "hada_w1_a" in role:
        return _hadamard(role, "1") * _hadamard(role, "2")
    return _kronecker(role) if "lokr_w1" in role or "lokr_w1_a" in role else None


def _hadamard(role: Mapping[str, Tensor], half: str) -> Tensor:
    left, right, core = role[f"hada_w{half}_a"], role[f"hada_w{half}_b"], role.get(f"hada_t{half}")
    return left @ right if core is None else torch.einsum("i j k l, j r, i p -> p r k l", core, right, left)


def _kronecker(role: Mapping[str, Tensor]) -> Tensor:
    one = role["lokr_w1"] if "lokr_w1" in role else role["lokr_w1_a"] @ role["lokr_w1_b"]
    if "lokr_w2" in role:
        other = role["lokr_w2"]
    elif "lokr_t2" in role:
        sides = (role["lokr_t2"], role["lokr_w2_a"], role["lokr_w2_b"])
        other = torch.einsum("i j k l, i p, j r -> p r k l", *sides)
    else:
        other = role["lokr_w2_a"] @ role["lokr_w2_b"]
    return torch.kron(one[..., None, None] if other.ndim == 4 else one, other.contiguous())


def scaled(weight: Tensor, scale: Tensor, *, outward: bool) -> Tensor:
    """A weight, or a bias, multiplied with what IA3 learned: one number for each output, or for each input."""
    scale = scale.float()
    if weight.ndim == 1:
        return weight.float() * scale.flatten()
    return weight.float() * (scale.T if outward and scale.ndim == 2 else scale)
