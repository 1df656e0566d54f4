"""Which samples pass together."""

from types import SimpleNamespace
from typing import Any

import pytest
from nexus_engine_sli.batching import LONG, Batching
from nexus_specs import Sample


def _grouped(lengths: list[int], micro_batch: int) -> list[list[int]]:
    """The lengths that pass together."""
    checkpoint: Any = SimpleNamespace(lengths=lambda samples: [each.fields["length"] for each in samples])
    samples = [Sample(key=str(at), fields={"text": "", "length": each}) for at, each in enumerate(lengths)]
    return [[each.fields["length"] for each in batch] for batch in Batching(checkpoint, micro_batch).grouped(samples)]


def test_texts_of_like_length_pass_together() -> None:
    """Sorted, so that little is padding."""
    assert _grouped([9, 3, 8, 2], 2) == [[2, 3], [8, 9]]
    assert _grouped([3, 2], 8) == [[2, 3]]
    assert _grouped([3, 2], 1) == [[3], [2]]


@pytest.mark.parametrize("micro_batch", [2, 8])
def test_a_long_text_passes_with_its_equals_alone(micro_batch: int) -> None:
    """So that no mask of tokens x tokens waits with it."""
    short, long = LONG - 1, LONG
    given = [long + 5, short, long, long, short - 1]
    assert _grouped(given, micro_batch) == [[short - 1, short], [long, long], [long + 5]]
    batches = _grouped([long] * 9, micro_batch)
    assert [len(each) for each in batches] == [micro_batch] * (9 // micro_batch) + [9 % micro_batch]
