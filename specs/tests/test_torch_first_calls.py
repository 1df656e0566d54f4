"""Functions of oneMKL are called once in one thread before two threads may."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nexus_torch import first_calls

HEADER = Path(torch.__file__).parent / "include" / "ATen" / "cpu" / "vml.h"
BEFORE = """
import {module}
called = []
import torch
from torch.overrides import TorchFunctionMode
from nexus_torch import first_calls
class Watching(TorchFunctionMode):
    def __torch_function__(self, function, types, arguments=(), named=None):
        called.append(function.__name__)
        return function(*arguments, **(named or {{}}))
with Watching():
    first_calls.find_kernels()
print(*called)
"""
FIRST = """
import nexus_torch.files, nexus_engine_sli, torch
print(torch.ones(64 << 20, dtype=torch.uint8).data_ptr() % 4096)
"""


def _answer(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not HEADER.is_file(), reason="this torch comes without its headers")
def test_every_function_that_torch_hands_to_onemkl_is_called() -> None:
    """Two commented lines of the header are none."""
    given = set(re.findall(r"^IMPLEMENT_VML_MKL\((\w+),", HEADER.read_text(), re.MULTILINE))
    assert "cos" in given
    assert given <= set(first_calls.FUNCTIONS)


def test_what_reads_tensors_or_builds_models_calls_them_first() -> None:
    for module in ("nexus_torch.files", "nexus_torch.skeleton", "nexus_engine_sli.engine"):
        program = f"import {module}, sys; print('nexus_torch.first_calls' in sys.modules)"
        assert _answer(program).strip() == "True", module


def test_one_number_of_each_type_passes_each_function() -> None:
    called = _answer(BEFORE.format(module="nexus_torch.files")).split()
    for name in first_calls.FUNCTIONS:
        assert called.count(f"{name}_") == len(first_calls.DTYPES), name


def test_how_torch_takes_memory_is_still_open_after_them() -> None:
    """The engine asks for large pages, which count from the first tensor on."""
    assert _answer(FIRST).strip() == "0"
