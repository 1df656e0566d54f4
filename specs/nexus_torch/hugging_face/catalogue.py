"""transformers' own lists of architectures, read from its source: no import of transformers or torch.

649 model types have an automatic class, so the list is a query, never ours to write.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TABLES = {"configuration": "auto_mappings.py", "modeling": "modeling_auto.py"}
GENERATIVE = (
    "CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "SPEECH_SEQ_2_SEQ",
    "TEXT_TO_WAVEFORM", "CTC", "RNNT", "TDT",
)  # fmt: skip
"""Heads that generate."""


def rows() -> list[dict[str, Any]]:
    """One row for each model type: name, its heads (model classes), and whether one of them generates."""
    heads: dict[str, list[str]] = {}
    generates: set[str] = set()
    for task, entries in tasks().items():
        for model_type, names in entries.items():
            heads.setdefault(model_type, []).extend(name for name in names if name not in heads.get(model_type, []))
            if task in GENERATIVE:
                generates.add(model_type)
    return [
        {"architecture": name, "heads": heads[name], "generates": name in generates, "loader": "transformers"}
        for name in sorted(heads)
    ]


@cache
def model_types() -> frozenset[str]:
    """Every model type that has a configuration class."""
    return frozenset(_tables("configuration")["CONFIG_MAPPING_NAMES"])


@cache
def tasks() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Task ("CAUSAL_LM"; "" for bare models) -> model type -> class names."""
    found = {}
    for name, entries in _tables("modeling").items():
        task = name.removeprefix("MODEL").removesuffix("_MAPPING_NAMES").removeprefix("_FOR_").removeprefix("_")
        found[task] = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in entries.items()}
    return found


def is_head_of(name: str, *wanted: str) -> bool:
    """Whether a model class is listed under one of these tasks."""
    return any(name in names for task in wanted for names in tasks().get(task, {}).values())


@cache
def _tables(which: str) -> dict[str, dict[str, Any]]:
    """The literal mappings of one of transformers' files; what is computed there (unions) is left out."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return {"CONFIG_MAPPING_NAMES": {}}
    folder = Path(spec.submodule_search_locations[0]) / "models" / "auto"
    tree = ast.parse((folder / TABLES[which]).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name.endswith("_MAPPING_NAMES") and isinstance(node.value, ast.Call) and node.value.args:
            found[name] = _literal(node.value.args[0])
    return found


def _literal(node: ast.expr) -> dict[str, Any]:
    """The entries of a list of pairs that are literals (`*OTHER.items()` is not)."""
    pairs = {}
    for element in getattr(node, "elts", ()):
        try:
            key, value = ast.literal_eval(element)
        except (ValueError, TypeError):
            continue
        pairs[key] = value
    return pairs
