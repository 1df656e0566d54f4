"""The files of Kyutai's format: model.safetensors, Mimi's own file, a sentencepiece model, and perhaps config.json.

The defaults are those of Moshi 7B in the package moshi 0.2.13 (`loaders.py`); NVIDIA's PersonaPlex has the same ones
with 16 codebooks in depth. Sizes that the tensors show are read from their headers. No torch here but in `sizes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import Extent, NexusError
from nexus_torch import hub
from nexus_torch.hugging_face.configuration.limits import check
from nexus_torch.hugging_face.family import stored_names
from nexus_torch.hugging_face.folder import configuration, folder, parsed

from .catalogue import MODEL_TYPE

MODEL, MIMI = "model.safetensors", "tokenizer-e351c8d8-checkpoint125.safetensors"
TEXT = "tokenizer_spm_32k_3.model"
OWN = frozenset({"text_emb.weight", "text_linear.weight", "depformer_text_emb.weight"})
DEFAULTS: Mapping[str, Any] = {
    "context": 3000, "max_period": 10000.0, "existing_text_padding_id": 3, "moshi_name": MODEL, "mimi_name": MIMI,
    "delays": [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1],
}  # fmt: skip
FILES = ("moshi_name", "mimi_name", "mimi_config_name", "tokenizer_name")
"""Settings that name a file of the folder."""
HEAD_WIDTH, DEPTH_HEAD_WIDTH = 128, 64
"""Widths of an attention head where the file does not say how many heads there are: Moshi 7B's."""
PERSONA_CODES = 16
"""Codebooks that PersonaPlex predicts: its own voice and the listener's."""


def is_kyutai(source: str) -> bool:
    """Whether a folder holds a Moshi in Kyutai's format: its configuration says so, or the names in its file do."""
    if not source:
        return False
    told = configuration(source)
    if "architectures" in told:
        return False  # transformers' own format
    if told.get("model_type") == MODEL_TYPE or "depformer_dim" in told:
        return True
    name, home = str(told.get("moshi_name", MODEL)), folder(source)
    if hub.behind(home) is not None and not (home / name).exists():
        return not told and _on_hub(home)
    return name == Path(name).name and stored_names(home / name) >= OWN


def _on_hub(home: Path) -> bool:
    """Whether a repository that says nothing of itself (Kyutai's first ones) has both files, by their names."""
    try:
        return bool(hub.place(home, MODEL) and hub.place(home, MIMI))
    except hub.HubError:
        return False


def settings(home: Path) -> dict[str, Any]:
    """config.json over the defaults. NexusError where it names files of another folder."""
    told = configuration(str(home))
    check(told, str(home / "config.json"))
    found = {**DEFAULTS, **{key: value for key, value in told.items() if value is not None}}
    for key in FILES:
        name = str(found.get(key, ""))
        if name != Path(name).name:
            raise NexusError(f"'{home / 'config.json'}': {key} is '{name}'; it names a file beside it.")
    return found


def sizes(told: Mapping[str, Any], found: Mapping[str, Extent]) -> dict[str, int]:
    """What the shapes of the tensors say. NexusError where one that is needed is not there."""
    try:
        rows, width = found["text_emb.weight"].shape
        depth = found["depformer_text_emb.weight"].shape[1]
        codes = found["emb.0.weight"].shape[0] - 1
        feed = found["transformer.layers.0.gating.linear_in.weight"].shape[0]
        depth_feed = found["depformer.layers.0.gating.0.linear_in.weight"].shape[0]
        heads = int(told.get("num_heads", width // HEAD_WIDTH))
        depth_heads = int(told.get("depformer_num_heads", depth // DEPTH_HEAD_WIDTH))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise NexusError(f"{told['moshi_name']} is no Moshi in Kyutai's format ({error}). Fetch it again.") from error
    persona = told.get("model_type") == MODEL_TYPE
    return {
        "words": rows - 1, "width": width, "codes": codes, "feed": feed, "depth": depth, "depth_feed": depth_feed,
        "streams": _count(found, r"emb\.(\d+)\.weight"),
        "layers": _count(found, r"transformer\.layers\.(\d+)\..*"),
        "depth_layers": _count(found, r"depformer\.layers\.(\d+)\..*"),
        "depth_codes": PERSONA_CODES if persona and "dep_q" not in told else _count(found, r"linears\.(\d+)\.weight"),
        "heads": heads, "depth_heads": depth_heads,
    }  # fmt: skip


def mimi_settings(home: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    """Mimi's own configuration where the folder names one; {} for the one that everybody uses."""
    name = told.get("mimi_config_name")
    if not name:
        return {}
    found = parsed(home / str(name))
    check(found, str(home / str(name)))
    return found


def _count(found: Mapping[str, Extent], pattern: str) -> int:
    numbers = [int(match[1]) for key in found if (match := re.fullmatch(pattern, key))]
    return max(numbers, default=-1) + 1
