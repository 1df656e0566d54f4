"""Records of what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pluggy
from nexus_specs import Component

State = Literal["loaded", "broken", "incompatible", "blocked", "double"]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One entry point of the group `nexus.plugins`, and what became of it."""

    name: str
    distribution: str
    version: str
    state: State
    reason: str = ""
    """Why it is not loaded; empty when it is."""
    components: tuple[tuple[str, Component], ...] = ()
    """(kind, descriptor) of everything that it offers."""
    module: str = ""
    editable: bool = False
    seconds: float = 0.0
    """That it took to import, on every command; 0 where it is not loaded."""
    manager: pluggy.PluginManager | None = None
    """A manager of its own: what it does wrong reaches no other plugin."""

    @property
    def title(self) -> str:
        """For messages: "plugin 'x' (nexus-x 0.1.0)"."""
        return f"plugin '{self.name}' ({self.distribution} {self.version})"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Where a component comes from."""

    plugin: str
    distribution: str
    version: str
    editable: bool
    files: tuple[Path, ...]
    """The Python files of its packages, sorted: what to hash where it is installed editable."""
