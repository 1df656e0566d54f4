"""The types of GGUF: of metadata values, and of tensors with the sizes of their blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""Number of a value type -> its letter in `struct`. Source: `enum gguf_type` of ggml/include/gguf.h."""
STRING, ARRAY = 8, 9
F32 = 0

PLAIN: Mapping[int, str] = {0: "F32", 1: "F16", 30: "BF16", 28: "F64", 24: "I8", 25: "I16", 26: "I32", 27: "I64"}
"""Number of a tensor type that is no block -> its name in safetensors."""
BLOCKS: Mapping[int, tuple[int, int]] = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
"""Number of a tensor type -> (elements, bytes) of a block."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies. `shape` is in the order of numpy and torch: GGUF writes it backwards."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    stop: int


def type_name(kind: int) -> str:
    """The name of a tensor type ("Q4_K")."""
    return PLAIN.get(kind) or GGMLQuantizationType(kind).name


def commonest(infos: Iterable[TensorInfo]) -> int:
    """The type that holds most bytes of some tensors."""
    held: Counter[int] = Counter()
    for info in infos:
        held[info.kind] += info.stop - info.start
    return held.most_common(1)[0][0] if held else F32


def described(infos: Collection[TensorInfo]) -> str:
    """What the bytes of some tensors are, in words: the type of most of them, and those of other matrices. Norms and
    biases, which every file keeps in F32, are no mixture.

    >>> described([])
    'F32'
    """
    most = commonest(infos)
    others = dict.fromkeys(info.kind for info in infos if len(info.shape) > 1 and info.kind != most)
    if not others:
        return type_name(most)
    return f"mixed: mostly {type_name(most)}, also {', '.join(map(type_name, others))}"
