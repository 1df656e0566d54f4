"""What a stranger's file asks for is refused, and what was allowed before is allowed behind it."""

import subprocess
import sys

GROWS = """
from nexus_host.running.limiting import growing
held = bytearray(64 << 20)
with growing(128 << 20):
    bytearray(32 << 20)
    try:
        bytearray(1 << 30)
        print("it grew")
    except MemoryError:
        print("refused")
print(len(bytearray(1 << 30)) >> 30)
"""


def test_what_grows_too_far_is_refused_and_only_meanwhile():
    found = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["refused", "1"]


LOWER = """
import resource
from nexus_host.running.limiting import growing
before = 1 << 40, 1 << 41
resource.setrlimit(resource.RLIMIT_DATA, before)
with growing(1 << 50):
    print(resource.getrlimit(resource.RLIMIT_DATA) == before)
print(resource.getrlimit(resource.RLIMIT_DATA) == before)
"""


def test_a_lower_limit_stays():
    found = subprocess.run([sys.executable, "-c", LOWER], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "True"]
