"""Tables of positions while a model is made: the same numbers, and not three times their memory."""

from __future__ import annotations

import torch
from diffusers.models import embeddings
from nexus_arch_diffusers import tables


def test_a_table_made_in_pieces_has_the_same_numbers() -> None:
    expected = embeddings.get_2d_sincos_pos_embed(16, 96, base_size=32, output_type="pt").float()
    native = embeddings.get_2d_sincos_pos_embed_from_grid
    with tables.sparing():
        found = embeddings.get_2d_sincos_pos_embed(16, 96, base_size=32, output_type="pt")
    assert len(found) > 2 * tables.PLACES
    assert found.dtype == torch.float32, "made piece by piece"
    assert torch.equal(found, expected)
    assert embeddings.get_2d_sincos_pos_embed_from_grid is native
