"""The loader of students: what makes a release a checkpoint like any other. Nothing heavy before it opens one."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Installed, Lookup, NexusError

from .places import place


class NexusArchitecture:
    """Kind "architecture", name "nexus"."""

    def match(self, source: str) -> int:
        """2 for a student's folder, one with a forced tower ("FOLDER#tower"), or two artefacts ("CORE+TOWER")."""
        try:
            return 2 if place(source) is not None else 0
        except NexusError:
            return 2

    def inspect(self, source: str) -> Blueprint:
        """What the student is; reads configurations and headers."""
        return self.open(source, Installed()).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The student as a checkpoint; its core is opened by whatever loader opens it."""
        from .checkpoint import NexusCheckpoint

        found = place(source)
        if found is None:
            raise NexusError(f"'{source}' is no student: neither a release, nor an assembled model, nor CORE+TOWER.")
        return NexusCheckpoint(found, lookup)
