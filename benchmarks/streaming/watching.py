"""A process watched from outside while it does its work: how far its anonymous memory grows."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .measuring import anonymous

BEGINS, ENDS = "begins\n", "ends\n"
POLL = 0.004


@contextmanager
def work() -> Iterator[None]:
    """What is watched, in the process that does it."""
    print(BEGINS, end="", flush=True)
    sys.stdin.readline()                                    # it is seen to begin
    yield
    print(ENDS, end="", flush=True)


def watched(command: Sequence[str]) -> tuple[dict[str, Any], int]:
    """What a process finds (JSON, its last line), and the growth of its anonymous memory to the highest point while it
    does its `work`. Polled from here: on a busy machine a thread of its own misses peaks, for it waits for the GIL."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None or process.stdout.readline() != BEGINS:
            raise SystemExit(f"{' '.join(command)} failed.")
        start = most = anonymous(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], POLL)[0]:
            most = max(most, anonymous(process.pid))
        found = [line for line in process.stdout if line != ENDS]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed.")
    return json.loads(found[-1]), most - start
