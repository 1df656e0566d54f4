"""Whose code may run: commits that the registry trusts, as the host hands them on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_torch import hub

VARIABLE = "NEXUS_TRUST"
"""Environment variable: "owner/name@COMMIT", separated by spaces."""


def trusted(home: Path) -> bool:
    """Whether this folder is the snapshot of a commit that is trusted. A folder that is none never is: nothing says
    which commit its files are of."""
    listing = hub.behind(home)
    return listing is not None and f"{listing.hub.name}@{listing.commit}" in os.environ.get(VARIABLE, "").split()


def is_remote(config: Mapping[str, Any]) -> bool:
    """Whether a config.json names a program for its model."""
    mapped = config.get("auto_map")
    return isinstance(mapped, Mapping) and any(name.startswith("AutoModel") for name in mapped)
