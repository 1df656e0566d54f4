"""For all tests of the repository: those that take longer than a minute run only when they are asked for."""

from __future__ import annotations

import os

import pytest

# Tests ask hubs of their own on this machine. huggingface_hub reads this once, when it is first imported.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what is marked slow, unless `-m` names it."""
    if "slow" not in (config.option.markexpr or ""):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes longer than a minute; run it with -m slow"))
