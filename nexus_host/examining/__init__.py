"""What `nexus doctor` looks at."""

from __future__ import annotations

from pathlib import Path

from ..discovery import Plugins
from .findings import Finding
from .installation import installation
from .machine import machine

__all__ = ["Finding", "examine"]


def examine(plugins: Plugins, run: Path) -> list[Finding]:
    """Every finding about the installation and the machine; `run` is where a run would be kept."""
    return [*installation(plugins), *machine(run)]
