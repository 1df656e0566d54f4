"""The types of GGUF: of metadata values, and of tensors with the sizes of their blocks."""

from __future__ import annotations

from collections.abc import Mapping

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""Number of a value type -> its letter in `struct`. Source: `enum gguf_type` of ggml/include/gguf.h."""
STRING, ARRAY = 8, 9

PLAIN: Mapping[int, str] = {0: "F32", 1: "F16", 30: "BF16", 28: "F64", 24: "I8", 25: "I16", 26: "I32", 27: "I64"}
"""Number of a tensor type that is no block -> its name in safetensors."""
BLOCKS: Mapping[int, tuple[int, int]] = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
"""Number of a tensor type -> (elements, bytes) of a block."""


def type_name(kind: int) -> str:
    """The name of a tensor type ("Q4_K")."""
    return GGMLQuantizationType(kind).name
