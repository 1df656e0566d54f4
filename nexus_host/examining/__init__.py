"""What `nexus doctor` looks at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..discovery import Plugins
from .findings import Finding
from .installation import examine_installation
from .machine import examine_machine

__all__ = ["Finding", "examine"]


def examine(plugins: Plugins, run: Path, reserved: Iterable[str] = ()) -> list[Finding]:
    """Every finding about the installation and the machine; `run` is where a run would be kept, `reserved` are
    commands of the host, which no plugin can offer."""
    return [*examine_installation(plugins, reserved), *examine_machine(run)]
