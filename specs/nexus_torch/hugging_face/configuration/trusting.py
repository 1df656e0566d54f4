"""Whose code may run: commits that the registry trusts, as the host hands them on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_torch import hub
from nexus_torch.hub.settings import endpoint

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


def untrusted(source: str, home: Path, config: Mapping[str, Any]) -> str:
    """Why the program of a checkpoint does not run, and what to write where it is wanted."""
    kind = str(config.get("model_type"))[:60]
    said = f"'{source}' brings its own program: its model type '{kind}' is none that transformers knows."
    listing = hub.behind(home)
    if listing is None:
        return (
            f"{said} It is never run from a folder, which names no commit. Where it came from a hub, name it there: "
            "source: OWNER/NAME with trust: OWNER/NAME@COMMIT, once you have read the code of that commit. Else "
            "update transformers, or add a plugin that opens it."
        )
    found = f"{listing.hub.name}@{listing.commit}"
    others = [each for each in os.environ.get(VARIABLE, "").split() if each.startswith(f"{listing.hub.name}@")]
    other = (
        f" Trusted is another commit, {others[0].partition('@')[2][:12]}: name it behind the source." if others else ""
    )
    return (
        f"{said} It runs only where the registry trusts this very commit.{other} Read its code "
        f"({endpoint()}/{listing.hub.name}/tree/{listing.commit}), then write in the teacher's card: trust: {found} "
        f"(for `nexus inspect`: {VARIABLE}={found})"
    )
