"""Large tensors lie in large pages, which torch is asked for before its first tensor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import nexus_engine_sli, torch
made = torch.ones(64 << 20, dtype=torch.uint8)
line = next(line for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages"))
print(made.data_ptr() % 4096, line.split()[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="large pages are asked for on Linux alone")
def test_the_engine_asks_for_large_pages() -> None:
    """Whole pages in any case; large ones where the system gives them to who asks."""
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    given = switch.is_file() and "[never]" not in switch.read_text()
    answer = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    rest, kilobytes = map(int, answer.split())
    assert rest == 0
    assert not given or kilobytes >= 32 << 10


def test_kernels_of_all_sizes_are_not_kept() -> None:
    """Experts get another number of tokens each time, and oneDNN keeps a kernel for each of a thousand numbers."""
    program = "import os, nexus_engine_sli; print(os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'])"
    environment = {key: each for key, each in os.environ.items() if "PRIMITIVE_CACHE" not in key}
    for given, kept in (({}, "64"), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "512"}, "512")):
        answer = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment | given
        )
        assert answer.stdout.strip() == kept
