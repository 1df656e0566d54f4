"""A pipeline on a hub: described from its configurations and headers, the same as in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs.testing.hub import LocalHub


@pytest.mark.parametrize("fragment", ["", "#transformer"])
def test_a_pipeline_on_a_hub(saved: Callable[[str], Path], server: LocalHub, fragment: str) -> None:
    folder = saved("sd3")
    commit = server.add("acme/pipeline", folder)
    loader = Diffusers()
    assert loader.match(f"acme/pipeline{fragment}") == 2
    there, here = loader.inspect(f"acme/pipeline{fragment}"), loader.inspect(f"{folder}{fragment}")
    assert replace(there, missing=()) == replace(here, missing=())
    heads = sum(size for name, size in server.served.items() if name.endswith(".safetensors"))
    found = loader.origin(f"acme/pipeline{fragment}")
    assert found is not None
    assert found.source == f"acme/pipeline@{commit}{fragment}"
    assert found.missing == sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    assert heads < found.missing / 2
