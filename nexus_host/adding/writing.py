"""An addition laid into the text of a registry; comments and order are kept."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from .composing import Addition

HEAD = """\
# What Nexus distils: `nexus plan` shows what a run would do, `nexus run` does it.
# `nexus schema > registry.schema.json` gives editors completion and checks for this file.
version: 1
"""


def written(text: str, addition: Addition) -> str:
    """The text of the registry with the addition; of a new one for an empty text."""
    yaml = _yaml(text)
    tree: Any = yaml.load(text or HEAD)
    tree = CommentedMap() if tree is None else tree
    _section(tree, "teachers")[addition.name] = _block(addition.teacher)
    for section, cards in (("towers", addition.tower), ("data", addition.data)):
        for name, card in cards.items():
            _section(tree, section)[name] = _block(card)
    if addition.student and not tree.get("student"):
        tree["student"] = _block(addition.student)
    if addition.losses and not tree.get("losses"):
        tree["losses"] = []
    for loss in addition.losses:
        tree["losses"].append(_flow(loss))
    for index in addition.joins:
        tree["losses"][index]["teachers"].append(addition.name)
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _yaml(text: str) -> YAML:
    """A writer in the manner of the file."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    if "\n- " not in text:
        yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _section(tree: Any, name: str) -> Any:
    if not tree.get(name):
        tree[name] = CommentedMap()
    return tree[name]


def _block(card: dict[str, Any]) -> CommentedMap:
    """A card with one field a line; of stages, each on a line of its own."""
    return CommentedMap({key: _field(value) if isinstance(value, dict) else value for key, value in card.items()})


def _field(value: dict[str, Any]) -> CommentedMap:
    nested = value and all(isinstance(each, dict) for each in value.values())
    return _block(value) if nested else _flow(value)


def _flow(card: dict[str, Any]) -> CommentedMap:
    """A card on one line."""
    found = CommentedMap(card)
    found.fa.set_flow_style()
    return found
