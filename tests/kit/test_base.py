"""The standard tests stay standard, and inputs that are missing are asked for."""

import subprocess
import sys

import pytest
from nexus_specs import testing
from nexus_specs.testing import LossTests, MetricTests, TowerTests
from nexus_specs.testing.base import check_overrides

KINDS = [getattr(testing, name) for name in testing.__all__ if name.endswith("Tests") and name != "ComponentTests"]


class Untouched(MetricTests):
    """Adds a test of its own."""

    def test_of_my_own(self):
        """Fine."""


class Replaced(MetricTests):
    """Replaces a standard test silently."""

    def test_floor_knows_nothing(self):
        """Nothing is tested."""


class Excused(MetricTests):
    """Says why."""

    @pytest.mark.xfail(reason="The floor is unknown for this metric")
    def test_floor_knows_nothing(self):
        """Nothing is tested."""


class Unexcused(MetricTests):
    """Does not say why."""

    @pytest.mark.xfail
    def test_floor_knows_nothing(self):
        """Nothing is tested."""


@pytest.mark.parametrize("tests", [Untouched, Excused, *KINDS])
def test_standard_tests_are_there(tests):
    check_overrides(tests)


@pytest.mark.parametrize("tests", [Replaced, Unexcused])
def test_replaced_tests_are_found(tests):
    with pytest.raises(AssertionError, match="replaces a standard test of MetricTests"):
        check_overrides(tests)


@pytest.mark.parametrize(
    ("ask", "what"),
    [(MetricTests.samples, "samples"), (MetricTests.outputs, "outputs"), (LossTests.link, "link")],
)
def test_missing_inputs_are_asked_for(ask, what):
    with pytest.raises(NotImplementedError, match=rf"Give `{what}\(\)`"):
        ask(object())


def test_optional_inputs_have_defaults():
    assert TowerTests().samples() == ()
    assert LossTests().equal() is None


def test_kit_and_contract_need_no_heavy_library():
    probe = "import sys, nexus_specs.testing; print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
