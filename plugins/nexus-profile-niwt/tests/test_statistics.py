"""Covariance, outliers, means, false discoveries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nexus_profile_niwt.ablation import MeanAblation
from nexus_profile_niwt.importance import discoveries, importance
from nexus_profile_niwt.judging import ByDivergence, ByLikelihood, ByMetric
from nexus_profile_niwt.options import NiwtOptions
from nexus_profile_niwt.spectrum import Covariance, Spectra, bases, basis, without_outliers
from nexus_specs import Piece
from nexus_specs.testing import sample


def rows(count: int = 400, width: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=generator) @ torch.randn(width, width, generator=generator) + 3


def filled(*chunks: torch.Tensor) -> Covariance:
    found = Covariance(chunks[0].shape[1])
    for chunk in chunks:
        found.add(chunk)
    return found


def test_chunks_give_the_covariance_of_the_whole() -> None:
    data = rows()
    found = filled(*data.split(37))
    torch.testing.assert_close(found.mean, data.double().mean(0))
    torch.testing.assert_close(found.scatter / (found.count - 1), torch.cov(data.double().T), rtol=1e-6, atol=1e-6)


def test_halves_merge_to_the_whole() -> None:
    one, other = (filled(each) for each in rows().split(150)[:2])
    one.merge(other)
    whole = filled(rows()[:300])
    torch.testing.assert_close(one.scatter, whole.scatter, rtol=1e-5, atol=1e-2)
    assert one.count == whole.count


def test_offsets_do_not_disturb_the_spectrum() -> None:
    plain, moved = filled(rows()), filled(*(rows() + torch.eye(12)[0] * 1500).split(50))
    torch.testing.assert_close(plain.spectrum()[0], moved.spectrum()[0], rtol=1e-3, atol=1e-2)


def test_a_planted_subspace_is_found() -> None:
    generator = torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(torch.randn(20, 3, generator=generator))[0]
    data = torch.randn(500, 3, generator=generator) * torch.tensor([9.0, 6.0, 3.0]) @ directions.T
    found = basis(filled(data + 0.01 * torch.randn(500, 20, generator=generator)), 8, 0.99)
    assert found.directions.shape == (20, 3)
    cosines = torch.linalg.svdvals(directions.T @ found.directions)
    assert float(cosines.min()) > 0.999


def test_signs_are_fixed() -> None:
    vectors = filled(rows()).spectrum()[1]
    assert bool((vectors.gather(0, vectors.abs().argmax(0)[None]) > 0).all())


def test_sinks_are_left_out() -> None:
    data = torch.ones(10, 4)
    data[3] *= 1000
    assert len(without_outliers(data)) == 9
    assert len(without_outliers(torch.empty(0, 4))) == 0


def test_a_mean_is_taken_over_real_tokens() -> None:
    edit = MeanAblation("layer")
    inputs, mask = torch.zeros(2, 3, 2), torch.tensor([[True, True, False], [True, False, False]])
    output = torch.tensor([[[1.0, 0], [2, 0], [99, 0]], [[3, 0], [99, 0], [99, 0]]])
    edit.seen("layer", inputs, output, mask)
    torch.testing.assert_close(edit.apply("layer", inputs + 1, output)[0, 0], torch.tensor([3.0, 1.0]))


def test_patches_have_means_of_their_own_and_changed_shapes_are_replaced() -> None:
    edit = MeanAblation("layer")
    for value in (1.0, 3.0):
        edit.seen("layer", torch.zeros(1, 2, 2), torch.full((1, 2, 2), value) * torch.tensor([1.0, 2.0])[:, None], None)
    found = edit.apply("layer", torch.zeros(1, 2, 2), torch.zeros(1, 2, 2))
    torch.testing.assert_close(found[0, :, 0], torch.tensor([2.0, 4.0]))
    narrower = MeanAblation("layer")
    narrower.seen("layer", torch.zeros(2, 4), torch.tensor([[1.0], [5.0]]), None)
    torch.testing.assert_close(narrower.apply("layer", torch.zeros(2, 4), torch.zeros(2, 1)), torch.full((2, 1), 3.0))


def test_lengths_that_differ_share_one_mean() -> None:
    edit = MeanAblation("layer")
    edit.seen("layer", torch.zeros(1, 2, 1), torch.full((1, 2, 1), 1.0), None)
    edit.seen("layer", torch.zeros(1, 4, 1), torch.full((1, 4, 1), 4.0), None)
    found = edit.apply("layer", torch.zeros(1, 3, 1), torch.zeros(1, 3, 1))
    torch.testing.assert_close(found, torch.full((1, 3, 1), 3.0))


def test_channels_of_sounds_keep_means_of_their_own() -> None:
    """A convolution's states are [D, T]: sounds of other lengths differ in the last axis."""
    edit = MeanAblation("layer")
    for length, value in ((2, 1.0), (4, 4.0), (1, 0.0)):
        by_channel = torch.tensor([value, 10 * value])[:, None].expand(1, 2, length)
        edit.seen("layer", torch.zeros(1, 1, length), by_channel, None)
    found = edit.apply("layer", torch.zeros(1, 1, 3), torch.zeros(1, 2, 3))
    torch.testing.assert_close(found, torch.tensor([18.0, 180.0])[:, None].expand(1, 2, 3) / 7)


def test_states_that_lie_across_are_turned() -> None:
    """A convolution over sounds gives [D, T]: its directions are of its D channels, whatever the lengths."""
    spectra = Spectra(skip=0, widths={"layer": 3, "other": 3})
    for key, length in (("a", 40), ("b", 55)):
        states = rows(length, 3)
        spectra.put(Piece(keys=(key,), tap="layer", values=[states.T]))
        spectra.put(Piece(keys=(key,), tap="other", values=[states]))
    torch.testing.assert_close(spectra.found["layer"].scatter, spectra.found["other"].scatter)


@pytest.mark.parametrize(
    ("chances", "kept"),
    [
        ({"a": 0.001, "b": 0.04, "c": 0.5}, {"a"}),
        ({"a": 0.01, "b": 0.02, "c": 0.04}, {"a", "b", "c"}),
        ({"a": 0.9}, set()),
    ],
)
def test_false_discoveries_are_held_down(chances: dict[str, float], kept: set[str]) -> None:
    assert discoveries(chances, 0.05) == kept


def test_one_sample_leaves_nothing_to_lose() -> None:
    judge, samples = ByDivergence(), [sample(text="only")]
    intact, ablated = ({(samples[0].key, "output"): torch.randn(5)} for _ in range(2))
    rows = {name: judge.rows(samples, each, intact) for name, each in (("", intact), ("layer", ablated))}
    (layer,) = importance(judge, rows, judge.floor(samples, intact), NiwtOptions(), 0)
    assert (layer.importance, layer.low, layer.high, layer.critical) == (0, 0, 0, False)


def test_a_text_of_one_token_predicts_nothing() -> None:
    samples = [sample(text="a"), sample(text="b c")]
    values = {(samples[0].key, "logprob"): torch.zeros(0), (samples[1].key, "logprob"): torch.tensor([-2.0])}
    assert ByLikelihood(9).rows(samples, values, values).tolist() == [[2.0, 1.0]]


def test_states_that_do_not_vary_have_no_directions() -> None:
    empty, still = Covariance(4), Covariance(4)
    empty.merge(Covariance(4))
    still.add(torch.ones(1, 4))
    found = {"empty": empty, "still": still, "alive": filled(rows())}
    assert list(bases(found, found, 3, 0.95)) == ["alive"]


def test_rows_that_are_mostly_zero_are_no_outliers() -> None:
    data = torch.zeros(10, 4)
    data[:4] = 1.0
    assert len(without_outliers(data)) == 10


class Points:
    """Points of a sample, which are better where they are more, or fewer."""

    taps = ()

    def reduce(self, rows: np.ndarray) -> float:
        return float(np.mean(rows))


@pytest.mark.parametrize(("rises", "intact", "floor"), [(True, 0.2, 0.5), (True, 0.8, 0.5), (False, 3.0, 2.0)])
def test_what_makes_a_teacher_worse_matters_also_below_the_floor(rises: bool, intact: float, floor: float) -> None:
    worse = -0.1 if rises else 0.1
    rows = {name: np.full((6, 1), intact + part * worse) for name, part in (("", 0), ("bad", 1), ("good", -1))}
    found = {each.path: each for each in importance(ByMetric(Points(), rises=rises), rows, floor, NiwtOptions(), 0)}
    assert found["bad"].importance == pytest.approx(0.1 / abs(floor - intact))
    assert found["bad"].critical
    assert found["good"].importance < 0
    assert not found["good"].critical
