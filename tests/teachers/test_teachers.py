"""Each teacher, tiny and random, in the layout of the real one: inspected, opened, observed, equal to the reference."""

import pytest
from nexus_specs import Installed
from tiny_teachers.checking import check


def needed(tiny):
    if tiny.needs:
        pytest.importorskip(tiny.needs, reason=f"needs {tiny.needs}")


def test_it_opens_and_agrees_with_the_reference(tiny, tmp_path):
    needed(tiny)
    found = check(tiny, tmp_path / "teacher", Installed())
    assert found.difference <= tiny.tolerance
    assert found.observed or tiny.absent.startswith("no stack")
    assert found.blueprint.parameters > 0
    assert not [each for each in found.blueprint.missing if "safetensors" in each]


@pytest.mark.slow
def test_layer_by_layer_it_gives_the_same(tiny, tmp_path):
    needed(tiny)
    check(tiny, tmp_path / "teacher", Installed(), streamed=True)
