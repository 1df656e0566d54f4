"""Sparse distributions: unbiased, exact at the top, the same for the same key."""

from __future__ import annotations

import torch
from nexus_observe.sparse import generator_of, sparse, sparse_blocks, uniforms


def logits(rows: int = 4, vocabulary: int = 60) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(0)) * 2


def dense(ids: torch.Tensor, probabilities: torch.Tensor, vocabulary: int) -> torch.Tensor:
    return torch.zeros(len(ids), vocabulary).scatter_add(-1, ids, probabilities)


def test_the_top_is_exact_and_all_sums_to_one() -> None:
    scores = logits()
    ids, probabilities = sparse(scores, "key", exact=5, sampled=3)
    assert ids.shape == probabilities.shape == (4, 8)
    top = scores.softmax(-1).topk(5)
    assert torch.equal(ids[:, :5], top.indices)
    torch.testing.assert_close(probabilities[:, :5], top.values)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(4))
    drawn = ids[:, 5:]
    assert not (drawn[:, :, None] == ids[:, None, :5]).any(), "draws come from the tail alone"


def test_the_record_is_unbiased() -> None:
    scores, draws = logits(), 2000
    found = torch.stack([dense(*sparse(scores, f"key{index}", 4, 4), 60) for index in range(draws)])
    error = (found.mean(0) - scores.softmax(-1)) / (found.std(0) / draws**0.5).clamp(min=1e-9)
    assert float(error[found.std(0) > 0].abs().max()) < 4.5


def test_the_same_key_gives_the_same_draws() -> None:
    one, other, third = (sparse(logits(), key, 2, 4)[0] for key in ("a", "a", "b"))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_a_small_vocabulary_is_kept_whole() -> None:
    ids, probabilities = sparse(logits(2, 6), "key", 4, 4)
    torch.testing.assert_close(dense(ids, probabilities, 6), logits(2, 6).softmax(-1))


def test_no_tail_is_no_harm() -> None:
    certain = torch.full((1, 50), -1e4)
    certain[0, 7] = 0
    ids, probabilities = sparse(certain, "key", 2, 2)
    torch.testing.assert_close(dense(ids, probabilities, 50)[0, 7], torch.tensor(1.0))


def test_draws_are_stratified() -> None:
    found = uniforms(generator_of("key"), 10, 4)
    assert torch.equal((found * 4).floor().int(), torch.arange(4).expand(10, 4).int())


def test_rows_in_blocks_give_what_they_give_together() -> None:
    scores = logits(rows=23)
    for sizes in ((23,), (5, 1, 17), (7, 7, 9)):
        found = sparse_blocks(iter(scores.split(sizes)), "key", 4, 3)
        assert all(torch.equal(one, other) for one, other in zip(found, sparse(scores, "key", 4, 3), strict=True))
