"""For all tests of the repository: one worker a processor; those that take longer than a minute run only when they are
asked for; a hub; the largest tensor; the same random numbers in any order; limits of time; real data and models."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from nexus_specs.testing.hub import ELSEWHERE, LocalHub

# Tests ask hubs of their own on this machine. huggingface_hub reads this once, when it is first imported.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(name, None)


WORKERS = 4
"""At most, of a whole suite: each holds torch and a tiny teacher or two (1.4 GB)."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads these options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """`pytest` alone runs the whole suite, one worker a processor; what is named, or runs with -n, runs as it says."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not option.collectonly and not option.usepdb
    if whole and not hasattr(config, "workerinput") and getattr(option, "numprocesses", 0) is None:
        option.numprocesses, option.dist = min(WORKERS, os.cpu_count() or 1), "worksteal"
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and children would inherit that: a handler of
    our own gives them the default back."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What earlier runs left in the user's caches is not there. All workers of a run share theirs, as commands do."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "caches"
    place.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(place))
        patched.delenv("NEXUS_CACHE", raising=False)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test draws the same random numbers, whichever ran before it in this process."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


PACE = 0.025
"""What `_pace` gives on the machine for which limits of time were set."""


def _pace() -> float:
    """Seconds of the processor that a piece of ordinary work takes here and now."""
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number % 7
    return time.process_time() - began


@contextmanager
def _at_once(seconds: float) -> Iterator[None]:
    began = time.process_time()
    yield
    taken = time.process_time() - began
    assert taken < seconds or taken < seconds * max(_pace() for _ in range(5)) / PACE, f"it took {taken:.1f} s"


@pytest.fixture(scope="session")
def at_once() -> Callable[[float], AbstractContextManager[None]]:
    """A block that takes no more seconds of the processor than it is given; on a machine that is slower (just now), as
    many times more as it is slower."""
    return _at_once


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub on this machine, the only one that the test can ask."""
    from nexus_torch.hub import listing, ranges

    with LocalHub() as local:
        for name in ELSEWHERE:
            monkeypatch.delenv(name, raising=False)
        for name, value in local.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ranges, "FIRST_WAIT", 0.01)
        monkeypatch.setattr(ranges, "PATIENT", 0.0)
        listing.forget()
        yield local
    listing.forget()


@pytest.fixture
def largest() -> AbstractContextManager[Any]:
    """Notes the most `bytes` of a tensor that any operation makes meanwhile, beside what only stands for one."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for each in made if isinstance(made, (tuple, list)) else (made,):
                if type(each) is torch.Tensor and not each.is_meta:
                    self.bytes = max(self.bytes, each.numel() * each.itemsize)
            return made

    return Largest()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data and models beside the repository, if it is there."""
    found = Path(__file__).resolve().parents[1] / "shared"
    if not (found / "models").is_dir():
        pytest.skip("there is no folder 'shared' with models beside the repository")
    return found


UNMEASURED = tuple(Path(__file__).resolve().parent / folder for folder in (
    "plugins/nexus-engine-sli", "plugins/nexus-arch-diffusers", "plugins/nexus-arch-gguf", "plugins/nexus-arch-peft",
    "plugins/nexus-starter", "tests/teachers",
))  # fmt: skip
"""Folders whose tests say nothing of the coverage that is asked for. Measured they take twice as long, and coverage
loses its way where greenlets (batches that are streamed) take turns, unless it looks at every call whose turn it is."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what is marked slow, unless `-m` names it; says of whose tests coverage is not measured."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in UNMEASURED):
            item.add_marker("no_cover")
    if "slow" not in (config.option.markexpr or ""):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes longer than a minute; run it with -m slow"))
