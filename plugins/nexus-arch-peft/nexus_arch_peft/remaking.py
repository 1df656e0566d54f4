"""Kinds of adapters that make a weight anew: turned, mirrored, or with a sum whose other half no file holds.

A weight [outputs, inputs] comes in float32 and goes out changed. Sources: OFT, https://arxiv.org/abs/2306.07280; BOFT,
https://arxiv.org/abs/2311.06243; HRA, https://arxiv.org/abs/2405.17484; VeRA, https://arxiv.org/abs/2310.11454;
FourierFT, https://arxiv.org/abs/2405.03003; DeLoRA, https://arxiv.org/abs/2503.18225; MiSS,
https://arxiv.org/abs/2409.15371; RandLoRA, https://arxiv.org/abs/2502.00987; VB-LoRA, https://arxiv.org/abs/2405.15179;
RoAd, https://arxiv.org/abs/2409.00119; C3A, https://arxiv.org/abs/2407.19342; GraLoRA,
https://arxiv.org/abs/2505.20355; SHiRA, https://arxiv.org/abs/2406.13175; HiRA,
https://openreview.net/forum?id=TwJrTz9cRS; the names of stored tensors and the order of products as PEFT 0.21 has
them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

Roles = Mapping[str, Tensor]
Told = Mapping[str, Any]


def remakes(roles: Container[str]) -> str:
    """The role by which such a kind is known among those that an adapter stores for a weight; "" for other kinds."""
    return next((role for role in KINDS if role in roles), "")


def remade(weight: Tensor, found: Roles, told: Told) -> Tensor:
    """The weight as these tensors make it. Raises RuntimeError or ValueError where they do not fit it."""
    role = {name: each.float() for name, each in found.items()}
    return KINDS[remakes(found)](weight.reshape(len(weight), -1), role, told).reshape(weight.shape)


def _tokens(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """Some rows of an embedding, or of a head, in the place of its own."""
    return weight.index_copy(0, torch.tensor(told[TOKENS], dtype=torch.long), role["trainable_tokens_delta"])


def _bases(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """RandLoRA: products of random bases that all modules share, the smaller one scaled by what was learned. PEFT lays
    the pairs of one side by bases and of the other by ranks; what was trained was trained so."""
    few, many = sorted(weight.shape)
    number = role["randlora_gamma"].shape[0]
    small = role["randlora_lambda"][..., None] * role["randlora_A"][:, :number, :few] * role["randlora_gamma"]
    made = role["randlora_B"][:many, :number].flatten(1) @ small.flatten(0, 1) * told["scaling"]
    return weight + (made if weight.shape[1] == few else made.T)


def _vector_bank(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """VB-LoRA: both halves of a product put together from the vectors of one bank, a few for each piece."""
    pieces = {side: _chosen(role, side, told["topk"]) for side in "AB"}
    inner, outer = pieces["A"].flatten(1), pieces["B"].transpose(1, 2).flatten(0, 1)
    return weight + outer @ inner


def _chosen(role: Roles, side: str, count: int) -> Tensor:
    """The mixed vectors [.., .., length] of one half."""
    if (logits := role.get(f"vblora_logits_{side}")) is not None:
        best, places = logits.topk(count, dim=-1)
        shares = best.softmax(-1)
    else:
        shares, places = role[f"vblora_logits_{side}_topk_weights"], role[f"vblora_logits_{side}_topk_indices"].long()
        shares = torch.cat([shares, 1 - shares.sum(-1, keepdim=True)], -1)
    return (shares[..., None] * role["vblora_vector_bank"][places]).sum(-2)


def _rotated(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """RoAd: what comes out is turned by pairs, one of each half of a group, and scaled."""
    half, wide = told["group_size"] // 2, told["variant"] == "road_4"
    turns, scales = (role[name].reshape(-1, 2 if wide else 1, 1 if told["variant"] == "road_1" else 2, half)
                     for name in ("road_theta", "road_alpha"))  # fmt: skip
    kept, moved = (scales[:, 0] * turns[:, 0].cos(), scales[:, -1] * turns[:, -1].sin())
    groups = weight.reshape(-1, 2, half, weight.shape[1])
    turned = torch.stack([-groups[:, 1], groups[:, 0]], 1)
    return (kept[..., None] * groups + moved[..., None] * turned).reshape(weight.shape)


def _circular(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """C3A: blocks that are each one row, moved on by one in every row below."""
    kernel = role["c3a_kernel"]
    along = torch.arange(kernel.shape[-1])
    blocks = kernel[..., (along - along[:, None]) % len(along)].transpose(1, 2)
    return weight + blocks.reshape(weight.shape) / weight.shape[1]


def _granular(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """GraLoRA: a product of its own for each block of a grid; and one for all of the weight, where there is that."""
    inner, outer = role["gralora_A"], role["gralora_B"]
    grid, _, rank = inner.shape
    parts = inner.unflatten(2, (grid, -1)), outer.unflatten(1, (grid, -1))
    made = torch.einsum("nijs,jnso->joni", *parts).reshape(weight.shape)
    if (common := role.get("gralora_A_general")) is not None:
        made, rank = made + role["gralora_B_general"] @ common, rank + len(common)
    return weight + told["alpha"] / rank * made


def _sparse(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """SHiRA: numbers that are added at some places."""
    return weight.index_put(tuple(role["shira_indices"].long()), role["shira_weight"], accumulate=True)


def _modulated(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """HiRA: a product that the weight is multiplied with."""
    return weight * (1 + role["hira_B"].flatten(1) @ role["hira_A"].flatten(1))


def _modulated_rows(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """HiRA of an embedding."""
    return weight * (1 + (role["hira_embedding_B"] @ role["hira_embedding_A"]).T)


def _vectors(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """VeRA: two matrices that all modules share, cut to the size of this one, and a vector of its own for each."""
    outer = role["vera_lambda_b"][:, None] * role["vera_B"][: weight.shape[0]]
    inner = role["vera_lambda_d"][:, None] * role["vera_A"][:, : weight.shape[1]]
    return weight + outer @ inner


def _mean_vectors(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """PVeRA: the same of numbers that were drawn while it learned: their means, which the first halves make."""
    half = len(role["pvera_lambda_d"]) // 2
    halves = {f"vera_{name}": role[f"pvera_{name}"][:half] for name in ("lambda_d", "A")}
    return _vectors(weight, halves | {f"vera_{name}": role[f"pvera_{name}"] for name in ("lambda_b", "B")}, told)


def _spectrum(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """FourierFT: some numbers of a spectrum, at places that a seed says."""
    places = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(told["random_loc_seed"]))
    dense = torch.zeros(weight.numel())
    dense[places[: role["fourierft_spectrum"].numel()]] = role["fourierft_spectrum"]
    return weight + torch.fft.ifft2(dense.reshape(weight.shape)).real * told["scaling"]


def _bounded(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """DeLoRA: a product of rank one vectors of length one, each times one bound."""
    left, right = role["delora_B"], role["delora_A"]
    lengths = right.norm(dim=1).clamp(min=1e-4) * left.norm(dim=0).clamp(min=1e-4)
    inner = (role["delora_lambda"] / len(right) / lengths)[:, None] * right
    return weight + left @ inner * role["delora_w_norm"]


def _mirrored(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """HRA: a chain of reflections of what goes in."""
    columns = role["hra_u"].unbind(1)
    if told["apply_GS"]:
        made: list[Tensor] = []
        for each in columns:
            rest = reduce(lambda left, done: left - (done @ left) * done, made, each)
            made.append(rest / rest.norm())
        return weight - 2 * (weight @ (whole := torch.stack(made, 1))) @ whole.T
    return reduce(lambda left, each: left - 2 * torch.outer(left @ each, each) / each.square().sum(), columns, weight)


def _turned(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """OFT: what goes in is turned, a block after the other."""
    return _by_blocks(weight, _rotations(role["oft_R"], told).mT)


def _turned_rows(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """OFT of an embedding: its rows are turned."""
    return _by_blocks(weight, _rotations(role["oft_embedding_R"], told))


def _butterfly(weight: Tensor, role: Roles, _: Told) -> Tensor:
    """BOFT of one factor: blocks are turned, and outputs scaled."""
    (blocks,) = role["boft_R"]
    skew = (blocks - blocks.mT) / 2
    return _by_blocks(weight, _cayley(skew).mT) * role["boft_s"]


def _shared(weight: Tensor, role: Roles, told: Told) -> Tensor:
    """MiSS: one block for all pieces of a row; in its form "bat" it depends on the weight."""
    block = role["miss_block"]
    if told["init_weights"] == "bat":
        size = block.shape[-1]
        pieces = weight.reshape(len(weight) // size, size, -1, size).permute(2, 0, 1, 3)
        return weight + (pieces @ block + block).permute(1, 2, 0, 3).reshape(weight.shape)
    if told["init_weights"] == "mini":
        block = block.repeat(1, len(weight) // block.shape[1])
    return weight + block.T.repeat(1, -(-weight.shape[1] // len(block)))[:, : weight.shape[1]]


def _rotations(upper: Tensor, told: Told) -> Tensor:
    """Blocks [n, size, size] that turn, of the upper triangles [n, size * (size - 1) / 2] of what they are made of."""
    size = int((1 + (1 + 8 * upper.shape[1]) ** 0.5) / 2)
    skew = upper.new_zeros(len(upper), size, size)
    skew[:, *torch.triu_indices(size, size, 1)] = upper
    skew = skew - skew.mT
    if not told["use_cayley_neumann"]:
        return _cayley(skew)
    terms, one = told["num_cayley_neumann_terms"], torch.eye(size).expand_as(skew)
    last = max(terms - 1, 3) if terms > 2 else terms        # whose power counts once; of two terms the second is whole
    found, power = one.clone(), one
    for at in range(1, last + 1 if terms > 2 else terms):
        power = power @ skew
        found += power if at == last else 2 * power
    return found


def _cayley(skew: Tensor) -> Tensor:
    one = torch.eye(skew.shape[-1]).expand_as(skew)
    return torch.linalg.solve(one + skew, one - skew, left=False)


def _by_blocks(weight: Tensor, blocks: Tensor) -> Tensor:
    """Every block of columns times its matrix; one matrix is for all."""
    pieces = weight.reshape(len(weight), -1, blocks.shape[-1])
    return torch.einsum("onk,nkc->onc", pieces, blocks.expand(pieces.shape[1], -1, -1)).flatten(1)


KINDS: Mapping[str, Callable[[Tensor, Roles, Told], Tensor]] = {
    "vera_lambda_b": _vectors, "fourierft_spectrum": _spectrum, "delora_A": _bounded, "hra_u": _mirrored,
    "oft_R": _turned, "oft_embedding_R": _turned_rows, "boft_R": _butterfly, "miss_block": _shared,
    "trainable_tokens_delta": _tokens, "randlora_lambda": _bases, "vblora_logits_A": _vector_bank,
    "vblora_logits_A_topk_weights": _vector_bank, "road_theta": _rotated,
    "c3a_kernel": _circular, "gralora_A": _granular, "shira_weight": _sparse, "hira_A": _modulated,
    "hira_embedding_A": _modulated_rows, "pvera_lambda_b": _mean_vectors,
}  # fmt: skip
"""The role by which a kind is known -> what it makes of a weight."""
NEEDS: Mapping[str, tuple[str, ...]] = {
    "vera_lambda_b": ("vera_lambda_d", "vera_A", "vera_B"), "delora_A": ("delora_B", "delora_lambda", "delora_w_norm"),
    "boft_R": ("boft_s",), "randlora_lambda": ("randlora_gamma", "randlora_A", "randlora_B"),
    "vblora_logits_A": ("vblora_logits_B", "vblora_vector_bank"), "road_theta": ("road_alpha",),
    "gralora_A": ("gralora_B",), "shira_weight": ("shira_indices",), "hira_A": ("hira_B",),
    "hira_embedding_A": ("hira_embedding_B",), "pvera_lambda_b": ("pvera_lambda_d", "pvera_A", "pvera_B"),
    "vblora_logits_A_topk_weights": (
        "vblora_logits_A_topk_indices", "vblora_logits_B_topk_weights", "vblora_logits_B_topk_indices",
        "vblora_vector_bank",
    ),
}  # fmt: skip
"""Roles that none is whole without."""
COMMON = ("gralora_A_general", "gralora_B_general")
"""Roles that may be there, both or none."""
OTHERS = (*dict.fromkeys(role for needed in NEEDS.values() for role in needed), *COMMON)
"""What stands beside the role by which a kind is known."""
FOLDED = ("hra_u", "hira_A")
"""Kinds of which convolutions are read: the others turn what goes into them in other ways than their weight, or not."""
SHARED = {
    f"base_model.{role}": role
    for role in ("vera_A", "vera_B", "pvera_A", "pvera_B", "randlora_A", "randlora_B", "vblora_vector_bank")
}
"""Keys of tensors that every module uses -> their role."""
OUTPUTS = ("road_theta",)
"""Kinds that change what a module gives, with its bias."""
TOKENS = "token_indices"
"""What the rows of some tokens are told: which ones."""
