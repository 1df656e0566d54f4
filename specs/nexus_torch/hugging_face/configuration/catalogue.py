"""transformers' own lists of architectures, read from its source: no import of transformers or torch.

649 model types have an automatic class, so the list is a query, never ours to write.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TABLES = {
    "configuration": "auto_mappings.py", "modeling": "modeling_auto.py", "tokenizer": "tokenization_auto.py",
    "image_processor": "image_processing_auto.py", "feature_extractor": "feature_extraction_auto.py",
}  # fmt: skip
TAKES = (
    (r"CAUSAL_LM|SEQ_TO_SEQ_CAUSAL_LM|MASKED_LM|SEQUENCE_CLASSIFICATION|TOKEN_CLASSIFICATION|TEXT_\w+", ("text",)),
    (r"IMAGE_TEXT_TO_TEXT|MULTIMODAL_LM|VISUAL_QUESTION_ANSWERING|ZERO_SHOT_\w+", ("image", "text")),
    (r"SPEECH_SEQ_2_SEQ|CTC|RNNT|TDT|AUDIO_\w+", ("audio",)),
    (r"IMAGE_\w+(?<!TEXT_TO_TEXT)|DEPTH_ESTIMATION|OBJECT_DETECTION|MASKED_IMAGE_MODELING|SEMANTIC_\w+", ("image",)),
    (r"VIDEO_CLASSIFICATION", ("video",)),
)  # fmt: skip
"""Tasks -> what their models take."""
PARTS = {
    "text": "text", "vision": "image", "image": "image", "backbone": "image", "audio": "audio", "encodec": "audio",
    "dac": "audio", "video": "video",
}  # fmt: skip
"""Words in the names of model types that are parts of others."""
GENERATIVE = (
    "CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "SPEECH_SEQ_2_SEQ",
    "TEXT_TO_WAVEFORM", "CTC", "RNNT", "TDT",
)  # fmt: skip
"""Heads that generate."""


def rows(results: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """One row for each model type: name, modalities in, heads (model classes), whether one of them generates, and
    what `results` say of it ({model type: {"takes": …, "streams": …}})."""
    heads: dict[str, list[str]] = {}
    for entries in tasks().values():
        for model_type, names in entries.items():
            heads.setdefault(model_type, []).extend(name for name in names if name not in heads.get(model_type, []))
    generates = generative()
    known = results or {}
    return [
        {
            "name": name,
            "loader": "transformers",
            "modalities": list(known.get(name, {}).get("takes") or modalities(name)),
            "heads": heads[name],
            "generates": name in generates,
            "streams": known.get(name, {}).get("streams", "untested"),
            "reason": known.get(name, {}).get("reason", ""),
        }
        for name in sorted(heads)
    ]


@cache
def generative() -> frozenset[str]:
    """Model types with a head that generates."""
    return frozenset(name for task in GENERATIVE for name in tasks().get(task, {}))


def modalities(model_type: str) -> tuple[str, ...]:
    """What goes in, as the tasks say that a model type is listed under, else its preprocessors."""
    found = {each for task, takes in TAKES for each in takes if any(
        model_type in entries for name, entries in tasks().items() if re.fullmatch(task, name)
    )}  # fmt: skip
    if not found:
        maps = (("image_processor", "image"), ("feature_extractor", "audio"), ("tokenizer", "text"))
        found = {modality for table, modality in maps if model_type in _keys(table)}
    if not found:
        found = {modality for part, modality in PARTS.items() if part in re.split(r"[_-]", model_type)}
    return tuple(each for each in ("text", "image", "audio", "video") if each in found)


@cache
def model_types() -> frozenset[str]:
    """Every model type that has a configuration class."""
    return frozenset(_tables("configuration").get("CONFIG_MAPPING_NAMES", {})) | _added()


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
def _added() -> frozenset[str]:
    """Model types that transformers adds to its table by hand: `CONFIG_MAPPING_NAMES.update({...})`."""
    found: set[str] = set()
    for node in ast.walk(_tree("configuration_auto.py")):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("CONFIG_MAPPING_NAMES.update", "OrderedDict"):
            keys = [each.value for each in node.keywords if each.arg is None] + list(node.args)
            for table in (each for each in keys if isinstance(each, ast.Dict)):
                found |= {str(key.value) for key in table.keys if isinstance(key, ast.Constant)}
    return frozenset(found)


def _keys(which: str) -> frozenset[str]:
    return frozenset(key for table in _tables(which).values() for key in table)


def _tree(file: str) -> ast.Module:
    """The syntax of one of transformers' files of automatic classes; of nothing where it is not installed."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return ast.Module(body=[], type_ignores=[])
    path = Path(spec.submodule_search_locations[0]) / "models" / "auto" / file
    return ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module(body=[], type_ignores=[])


@cache
def _tables(which: str) -> dict[str, dict[str, Any]]:
    """The literal mappings of one of transformers' files; what is computed there (unions) is left out."""
    found = {}
    for node in _tree(TABLES[which]).body:
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
