"""Products for parameters that a module holds itself (`target_parameters`): the experts of one layer in one tensor.

PEFT wraps a module once for each of its parameters, the first one innermost, so that the place in a name says which
one a product is for. Of experts [E, R, C] the halves are those of all: A is [E * rank, inputs], by experts; B is
[outputs, rank * E], by ranks. Source: `ParamWrapper` of PEFT 0.21.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from nexus_specs import Extent, NexusError
from torch import Tensor

NESTED = re.compile(r"(?P<module>.*?)(?P<inner>(\.base_layer)*)\.(?P<role>lora_[AB])(\.default)?\.weight$")
EXPERT = re.compile(r"^(.*\.experts)\.\d+\.")


def targets(names: Iterable[str], ends: Sequence[str]) -> dict[str, list[str]]:
    """Module -> those of its parameters that an adapter targets by name, in the order of the module's own."""
    found: dict[str, list[str]] = {}
    for name in names:
        if any(name == end or name.endswith(f".{end}") for end in ends):
            found.setdefault(name.rpartition(".")[0], []).append(name)
    return found


def grouped(
    extents: Iterable[Extent], aimed: Mapping[str, Sequence[str]], prefix: str
) -> tuple[dict[str, dict[str, Extent]], list[Extent]]:
    """Parameter -> the halves of its product by role; and the other tensors. NexusError where a module has products
    for more or fewer of its parameters than are targeted."""
    made: dict[str, dict[str, Extent]] = {}
    rest, depths = [], dict.fromkeys(aimed, 0)
    for extent in extents:
        found = NESTED.fullmatch(extent.key.removeprefix(prefix))
        if found is None or found["module"] not in aimed:
            rest.append(extent)
            continue
        names, at = aimed[found["module"]], found["inner"].count(".")
        depths[found["module"]] = max(depths[found["module"]], at + 1)
        if at < len(names):
            made.setdefault(names[-1 - at], {})[found["role"]] = extent
    for module, count in depths.items():
        if count != len(aimed[module]):
            raise NexusError(
                f"The adapter has products for {count} parameters of '{module}', and its target_parameters name "
                f"{len(aimed[module])}. Fetch its weights and its adapter_config.json again, from one place."
            )
    return made, rest


def stem_of(key: str) -> str:
    """The module in the file that holds what all experts become: not that of one of them."""
    found = EXPERT.match(key)
    return found[1] if found else key.rpartition(".")[0]


def by_experts(stored: Mapping[str, Extent], count: int) -> dict[str, Extent]:
    """The halves of all experts, so shaped that some experts can be cut out of A, and nothing out of B."""
    inner, outer = stored["lora_A"], stored["lora_B"]
    return {
        **stored,
        "lora_A": replace(inner, shape=(count, inner.shape[0] // count, *inner.shape[1:])),
        "lora_B": replace(outer, shape=(1, *outer.shape)),
    }


def first_of(cut: Extent, whole: Extent, count: int) -> int:
    """The number of the first expert in what is left of a tensor of `count`."""
    return (cut.start - whole.start) // max(1, (whole.stop - whole.start) // count)


def merged(
    weight: Tensor, found: Mapping[str, Tensor], scaling: float, *, first: int, outward: bool
) -> Tensor:
    """Some experts [e, R, C], from the `first` on, and what is added to each, in float32; `outward`: each is [inputs,
    outputs]."""
    if weight.is_meta:                                      # asked for names and shapes
        return weight.float()
    inner, outer = found["lora_A"].float(), found["lora_B"].float()
    outer = outer.reshape(outer.shape[1], inner.shape[1], -1).permute(2, 0, 1)[first : first + len(inner)]
    sides = (inner.mT, outer.mT) if outward else (outer, inner)
    return torch.baddbmm(weight.float(), *sides, alpha=scaling)
