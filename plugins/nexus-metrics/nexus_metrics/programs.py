"""Generated programs that must pass tests: pass@1 of HumanEval and MBPP, greedy, one program for each task.

Running what a model wrote is off: without the option `run` a registry is refused. With it each program runs in a child
without network, files or further processes (`confined.py`), for a few seconds.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample, Tap

from .assembling import program_of
from .confined import PASSED, REFUSED
from .options import ProgramOptions
from .ratio import Ratio
from .references import expected, references

_NUMPY = re.compile(r"^\s*(?:import|from)\s+numpy\b", re.MULTILINE)
"""Tests of EvalPlus (HumanEval+, MBPP+) compare with it."""
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""All that a program sees of the environment: a library without threads takes little memory."""
STARTING = 5.0
"""Seconds of waiting beside those of a program: for its process to begin, and for others who use the machine. What a
program computes is counted by the processor's time."""


class PassAt1(Ratio):
    """Kind "metric": whether the generated program passes the sample's tests; a row is [passed]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        if options.get("run") is not True:
            raise NexusError(
                "pass_at_1 would run programs that a model wrote, and is not allowed to. Allow it where you trust the "
                "machine with that (no network, no files, a few seconds each): metric: {name: pass_at_1, options: "
                "{run: true}}."
            )
        self.options = ProgramOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer": a function's body, a whole program, or one in a fenced block."""
        pairs = zip(samples, outputs["answer"], strict=True)
        return [self._row(sample, str(answer)) for sample, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """0: no program passes."""
        references(held_out, "pass_at_1", self.options.field)
        return 0.0

    def _row(self, sample: Sample, answer: str) -> tuple[float, ...]:
        tests = sample.fields.get(self.options.field)
        if not tests:
            return ()
        written = "\n".join(map(str, tests)) if isinstance(tests, (list, tuple)) else str(tests)
        entry = sample.fields.get(self.options.entry)
        call = f"\ncheck({entry})\n" if isinstance(entry, str) and entry.isidentifier() else "\n"
        program = program_of(str(expected(sample, self.options.prompt, "prompt", "text") or ""), answer)
        return (float(passes(f"{program}\n{written}{call}", self.options.seconds, self.options.megabytes)),)


def passes(program: str, seconds: float, megabytes: int) -> bool:
    """Whether a program ends without an error, confined. NexusError where this machine cannot confine it."""
    place = Path(__file__).with_name("confined.py")
    command = [sys.executable, "-I", "-S", str(place), str(math.ceil(seconds)), str(megabytes << 20)]
    command += [_numpy()] if _NUMPY.search(program) else []
    with tempfile.TemporaryDirectory() as empty:
        Path(empty).chmod(0o711)                            # nobody stands in it, and writes nothing
        try:
            done = subprocess.run(
                command, input=program.encode("utf-8", "replace"), cwd=empty, env=ALONE, check=False,
                timeout=3 * seconds + STARTING, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
    if done.returncode == REFUSED:
        raise NexusError(
            "pass_at_1 cannot shut programs off from the network and the files here: this system allows no namespaces. "
            "Run it on Linux with user namespaces, or score the capability by another metric (exact_match)."
        )
    return done.returncode == PASSED


def _numpy() -> str:
    """The folder that numpy lies in."""
    return str(Path(np.__file__).parents[1])
