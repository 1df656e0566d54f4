"""What is said of a teacher in the format of its makers, which is not read: where the same one is in a format that is.

Imports no torch: `match` asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from nexus_torch import hub

CONVERTED: Mapping[str, str] = {
    "VibeVoiceForASRTraining": "microsoft/VibeVoice-ASR-HF",
    "chatglm": "zai-org/glm-4-9b-chat-hf, or its successor zai-org/GLM-4-9B-0414",
    "minicpmv": "openbmb/MiniCPM-V-4.6",
}
"""A class or a model type that only a program of its makers opens -> a repository that transformers opens itself."""
NEMO = "NeMo's archive, which is not read. Name a repository or a folder with config.json and model.safetensors in it"
META = "Meta's own format. Name the folder above it, or a repository, with config.json and model-*.safetensors in it"
MISTRAL = "Mistral's own format. Name a repository that has config.json and model-*.safetensors as well"
SINGLE = (
    "weights alone, and nothing says of which model. Name the folder or the repository of a Diffusers pipeline "
    "(model_index.json), or of a model (config.json)"
)
ONNX = "a program for ONNX, which is not read. Name the repository that it was exported from"
ENDINGS = {".nemo": NEMO, ".onnx": ONNX, ".ckpt": SINGLE, ".safetensors": SINGLE}
"""Ending of a file -> what it is."""
OTHERS: Mapping[str, str] = {".h5": "TensorFlow", ".msgpack": "Flax", ".onnx": "ONNX"}
"""Ending of a file with weights that are not read -> what reads it."""
WITHIN = ("", "onnx/")
"""Where such files lie in a repository."""
LOOKED_AT = 10_000
"""Names of a folder that are looked at."""


def converted(config: Mapping[str, Any]) -> str:
    """What to name instead of a repository in its makers' format; "" for any other configuration."""
    named = config.get("architectures")
    words = [*(named if isinstance(named, list) else ()), config.get("model_type")]
    found = next((word for word in words if isinstance(word, str) and word in CONVERTED), "")
    said = f"is in the format of its makers ({found}), whose program is never run. Name {CONVERTED.get(found)}."
    return said if found else ""


def foreign(home: Path) -> str:
    """What a file, a folder or a repository without a config.json holds instead; "" for what is nothing known."""
    if home.is_file():
        if (home.parent / "config.json").is_file():
            return f"is one file of a checkpoint. Name its folder: {home.parent}."
        return _said(ENDINGS.get(home.suffix.lower(), ""), home.name)
    listing = hub.behind(home)
    names = sorted(listing.files if listing else _names(home))
    for word, is_one in ((META, _is_meta), (MISTRAL, _is_mistral)):
        if is_one(names):
            return f"is {word}."
    for ending, word in ENDINGS.items():
        if found := next((name for name in names if "/" not in name and name.lower().endswith(ending)), ""):
            return _said(word, found)
    if listing is not None:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        return f"has no config.json on the hub (it holds {shown or 'nothing'}). Name the repository of one checkpoint."
    return ""


def elsewhere(home: Path) -> str:
    """Which files hold the weights of a folder for other libraries ("tf_model.h5 (TensorFlow)"); "" where none do."""
    listing = hub.behind(home)
    names = listing.files if listing else [f"{inner}{name}" for inner in WITHIN for name in _names(home / inner)]
    shown: dict[str, str] = {}                              # the first for each library
    for name in sorted(names, key=lambda each: (each.count("/"), each)):
        if (ending := PurePosixPath(name).suffix.lower()) in OTHERS:
            shown.setdefault(OTHERS[ending], name)
    return ", ".join(f"{name} ({library})" for library, name in shown.items())


def _said(word: str, name: str) -> str:
    return f"holds {name}: {word}." if word else ""


def _names(home: Path) -> Iterable[str]:
    try:
        return [each.name for _, each in zip(range(LOOKED_AT), home.iterdir(), strict=False)]
    except OSError:
        return []


def _is_meta(names: Iterable[str]) -> bool:
    found = {PurePosixPath(name).name for name in names}
    return "params.json" in found and any(name.startswith("consolidated.") and name.endswith(".pth") for name in found)


def _is_mistral(names: Iterable[str]) -> bool:
    found = {PurePosixPath(name).name for name in names}
    return "params.json" in found and any(name.startswith("consolidated") for name in found)
