"""What of a component, a card or options counts for a fingerprint: versions, content in the place of locations, and
nothing that cannot change a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import Choice

from ..discovery import OptionField, Plugins
from .contents import Contents

_THROUGH_OTHERS = ("reader", "architecture")
"""Kinds whose locations count by what they read, which is hashed elsewhere."""


class Counted:
    """Asks plugins and files, and remembers what they said for as long as one plan is made."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins, self.contents = plugins, Contents()
        self._versions: dict[tuple[str, str], str] = {}

    def version(self, kind: str, name: str) -> str:
        """Of the distribution that brings a component, with its source where it is installed editable."""
        if (kind, name) not in self._versions:
            self._versions[kind, name] = self.contents.version(self.plugins.provider(kind, name))
        return self._versions[kind, name]

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the distributions that were asked for so far."""
        found = (version.partition(" (")[0].rpartition(" ") for version in self._versions.values())
        return {name: version for name, _, version in sorted(found)}

    def component(self, choice: Choice) -> Mapping[str, Any]:
        """A component as the registry names it."""
        return {
            "name": choice.name,
            "version": self.version(choice.kind, choice.name),
            "options": self.options(choice.kind, choice.name, choice.options),
            "weight": choice.weight,
            "teachers": list(choice.teachers),
        }

    def card(self, card: Mapping[str, Any]) -> Mapping[str, Any]:
        """A card with content in the place of locations."""
        found = dict(card)
        if "source" in found:
            found["source"] = self.contents.source(found["source"])
        if found.get("core", "auto") != "auto":
            found["core"] = self.contents.source(found["core"])
        if not found.get("chat"):                           # came later: what did not have it is known as it was
            found.pop("chat", None)
        return found

    def options(self, kind: str, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options that can change a result; locations by their content."""
        known = {each.name: each for each in self.plugins.fields(kind, name)}
        return {
            option: self._value(known.get(option), value)
            for option, value in given.items()
            if not (option in known and _left_out(known[option], kind))
        }

    def _value(self, field: OptionField | None, value: Any) -> Any:
        if field is None or not field.location:
            return value
        if isinstance(value, Mapping):
            return {name: self._value(field, each) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._value(field, each) for each in value]
        return self.contents.source(str(value)) if value else value


def _left_out(field: OptionField, kind: str) -> bool:
    return field.neutral or (field.location and kind in _THROUGH_OTHERS)
