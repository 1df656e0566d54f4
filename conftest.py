"""For all tests of the repository: those that take longer than a minute run only when they are asked for; a hub; real
data and models."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from nexus_specs.testing.hub import ELSEWHERE, LocalHub

# Tests ask hubs of their own on this machine. huggingface_hub reads this once, when it is first imported.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and children would inherit that: a handler of
    our own gives them the default back."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
        listing.forget()
        yield local
    listing.forget()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data and models beside the repository, if it is there."""
    found = Path(__file__).resolve().parents[1] / "shared"
    if not (found / "models").is_dir():
        pytest.skip("there is no folder 'shared' with models beside the repository")
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what is marked slow, unless `-m` names it."""
    if "slow" not in (config.option.markexpr or ""):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes longer than a minute; run it with -m slow"))
