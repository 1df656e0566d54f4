"""Where the hub is, where its cache lies, and whether it may be asked; read when they are needed, not on import."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_specs import caching

TRUE = ("1", "true", "yes", "on")
SILENCE = 30.0
"""Seconds without a byte after which a question is given up."""


def endpoint() -> str:
    """The address of the hub: HF_ENDPOINT, else huggingface.co."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking."""
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.lower() in TRUE or constants.is_offline_mode()


def limit_patience() -> None:
    """Lets questions to the hub end when it falls silent: huggingface_hub waits for ever by default."""
    from huggingface_hub.utils import get_session

    get_session().timeout = SILENCE


def cache_folder() -> Path:
    """The cache that all Hugging Face tools share: HF_HUB_CACHE, else HF_HOME/hub."""
    from huggingface_hub import constants

    if given := os.environ.get("HF_HUB_CACHE"):
        return caching.expanded(given)
    home = os.environ.get("HF_HOME")
    return caching.expanded(home) / "hub" if home else Path(constants.HF_HUB_CACHE)


def notes_folder() -> Path:
    """Where listings and headers are kept: NEXUS_CACHE, else the user's cache."""
    return caching.cache_folder() / "hub"
