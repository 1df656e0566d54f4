"""The GGUF architectures for `nexus list architectures`: read from gguf and from our table, without torch."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nexus_torch.hugging_face.configuration.catalogue import GENERATIVE, is_head_of

REASONS = {
    "gptj": "no converter of llama.cpp ever wrote such a file",
    "gemma4-assistant": "transformers 5.23 cannot build its own class: Gemma4AssistantConfig demands that every layer "
    "takes its keys from elsewhere, and Gemma4TextConfig.kv_sharing_modes raises ValueError for that: The set of layer "
    "types producing a cache is different than the set of layer types using them",
}


TOWER, OF_TOWERS = "clip", ("grids", "sounds", "tiles")
"""The architecture of mmproj files, and the modules of `layouts` that hold towers alone."""


@cache
def names() -> frozenset[str]:
    """Every architecture that the installed gguf names."""
    return frozenset(_constants().values())


def rows() -> list[dict[str, Any]]:
    """One row for each: name, the transformers classes that it opens as, and whether one of them generates."""
    heads, known = classes(), streaming()
    return [
        {
            "name": name,
            "loader": "gguf",
            "modalities": ["image", "audio"] if name == TOWER else ["text"],
            "heads": list(heads.get(name, ())),
            "generates": any(is_head_of(head, *GENERATIVE) for head in heads.get(name, ())),
            "gguf": name,
            "streams": "verified" if known.get(name) else "untested",
            "reason": "" if name in heads else REASONS.get(name, "transformers has no class for it"),
        }
        for name in sorted(names() | heads.keys() | REASONS.keys())
    ]


@cache
def streaming() -> Mapping[str, bool]:
    """GGUF architecture -> whether every row of `benchmarks/gguf_models.py` streamed; {} where none was made."""
    try:
        made = json.loads((Path(__file__).parent / "architectures.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found: dict[str, bool] = {}
    for row in made:
        found[row["architecture"]] = found.get(row["architecture"], True) and bool(row["streams"])
    return found


@cache
def classes() -> Mapping[str, tuple[str, ...]]:
    """GGUF architecture -> names of model classes, from the syntax of our own table: its modules import torch."""
    folder = Path(__file__).parent / "layouts"
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")}
    functions = {
        node.name: _heads(node) for tree in trees.values() for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    table = next(
        node.value for node in trees["__init__"].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "LAYOUTS"
    )  # fmt: skip
    found = {}
    for key, value in zip(getattr(table, "keys", ()), getattr(table, "values", ()), strict=True):
        chosen = functions.get(value.attr, ()) if isinstance(value, ast.Attribute) else _heads(value)
        found[str(ast.literal_eval(key))] = tuple(dict.fromkeys(chosen))
    more = (head for name in OF_TOWERS for head in _heads(trees[name]))     # of which its function chooses by tables
    return found | {TOWER: tuple(dict.fromkeys((*found[TOWER], *more)))}


def _heads(node: ast.AST) -> list[str]:
    """Names of classes in `Layout(head="…")` calls inside a node, also where two are chosen from."""
    found = []
    for call in ast.walk(node):
        for argument in getattr(call, "keywords", ()):
            if argument.arg == "head":
                found += [
                    each.value for each in ast.walk(argument.value)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value[:1].isupper()
                ]  # fmt: skip
    return found


@cache
def _constants() -> Mapping[str, str]:
    """gguf's MODEL_ARCH_NAMES, from its source: importing gguf imports numpy and more."""
    spec = importlib.util.find_spec("gguf")
    if spec is None or not spec.submodule_search_locations:
        return {}
    path = Path(spec.submodule_search_locations[0]) / "constants.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "MODEL_ARCH_NAMES":
            pairs = zip(getattr(node.value, "keys", ()), getattr(node.value, "values", ()), strict=True)
            return {ast.unparse(key): str(ast.literal_eval(value)) for key, value in pairs}
    return {}
