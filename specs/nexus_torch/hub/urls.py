"""Where the hub serves a file."""

from __future__ import annotations

from .names import Address
from .settings import endpoint


def url(address: Address) -> str:
    """Where the hub serves a file."""
    from huggingface_hub import hf_hub_url

    hub = address.hub
    kind = "dataset" if hub.kind == "dataset" else None
    return str(hf_hub_url(hub.name, address.file, repo_type=kind, revision=hub.revision, endpoint=endpoint()))
