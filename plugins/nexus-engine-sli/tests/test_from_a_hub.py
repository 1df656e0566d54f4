"""A teacher that lies on a hub observes as one in a folder does: resident, and streamed through a small disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_specs import Blueprint, Budget, Installed, Piece, Sample, Tap
from nexus_specs.testing.hub import LocalHub

TAPS = ("model.layers.3", "model.layers.11", "logprob")


class Kept:
    """A sink that keeps."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Any] = {}

    def put(self, piece: Piece) -> None:
        self.values |= {(key, piece.tap): value for key, value in zip(piece.keys, piece.values, strict=True)}

    def flush(self) -> None:
        """Nothing to do."""


def observed(source: str, samples: Sequence[Sample], budget: Budget) -> tuple[Blueprint, dict[tuple[str, str], Any]]:
    lookup, sink = Installed(), Kept()
    checkpoint = lookup.make("architecture", "transformers").open(source, lookup)
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in TAPS], sink)
    return checkpoint.blueprint, sink.values


def weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def served(server: LocalHub) -> int:
    return sum(size for name, size in server.served.items() if name.endswith(".safetensors"))


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_checkpoint_five_times_the_disk(
    server: LocalHub, folder: Path, inputs: Callable[[str], Sequence[Sample]], tmp_path: Path,
    residency: Literal["resident", "stream"],
) -> None:  # fmt: skip
    server.add("acme/large", folder)
    server.drops, server.drop_after = 12, 40_000
    samples = inputs("decoder")
    budget = Budget(residency=residency, disk=weights(folder) // 5, scratch=tmp_path / "scratch", micro_batch=2)
    here, expected = observed(str(folder), samples, Budget(residency="resident", micro_batch=2))
    blueprint, found = observed("acme/large", samples, budget)
    assert blueprint == here
    assert found.keys() == expected.keys()
    assert all(torch.equal(torch.as_tensor(found[key]), torch.as_tensor(expected[key])) for key in expected)
    assert server.drops == 0
    assert served(server) == weights(folder)


def test_a_teacher_that_fits_is_fetched_once_for_all_openings(
    server: LocalHub, folder: Path, inputs: Callable[[str], Sequence[Sample]], tmp_path: Path
) -> None:
    server.add("acme/large", folder)
    for residency in ("resident", "stream", "resident"):
        observed("acme/large", inputs("decoder")[:2], Budget(residency=residency, scratch=tmp_path / residency))
    assert served(server) == weights(folder)
