"""Ranges of what a configuration may say, checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

WIDEST, LONGEST = 1 << 17, 1 << 12
"""The largest width, and the largest number of layers, blocks or heads, of any model."""
LARGEST = 1 << 24
"""The largest number of any other meaning (a context in tokens, a sample rate)."""
TABLE = 1 << 28
"""Numbers in a table of positions, which is made whole (226 MB for Stable Diffusion 3)."""
TRAINED = "num_train_timesteps"
"""How many timesteps a scheduler has."""
TABLES, STEPS = (TRAINED, "num_inference_steps", "n_fft", "feature_size", "nb_max_frames"), 1 << 16
"""What schedulers and extractors make tables of, and the longest that is made."""
WORDS = frozenset({"added_tokens_decoder", "model_max_length", "max_len", "added_tokens"})
"""What tokenizers say of words, and of a length without end."""
ENDLESS = frozenset({"lambda_min_clipped"})
"""What is minus infinity unless somebody sets it (DPM-Solver and its kin), and is written so."""
DEEPEST = 8
COUNTS = ("layers", "num_attention_heads", "num_heads", "num_blocks", "depth")
"""Words in the names of what is counted in layers, blocks or heads; -1 heads are no attention (Stable Cascade)."""


def check(config: Mapping[str, Any], place: Path) -> None:
    """NexusError for numbers with which no model can be made in the memory of any machine."""
    for name, number in _numbers(config, "", 0, place):
        leaf = name.rpartition(".")[2]
        most = _most(leaf)
        below = number < 0 and _counts(leaf) and not (number == -1 and "heads" in leaf)
        if below or not abs(number) <= most:                # nor what is no number
            bounds = "none less than 0" if below else f"at most {most:,}"
            raise NexusError(
                f"'{place}' sets {name} = {number:g}: {bounds} is allowed. It is damaged or hostile: fetch it "
                "again from where the weights are."
            )
    side = config.get("pos_embed_max_size")
    heads, width = config.get("num_attention_heads"), config.get("attention_head_dim")
    if all(isinstance(each, int) for each in (side, heads, width)) and side * side * heads * width > TABLE:
        raise NexusError(f"'{place}' asks for a table of {side}² positions, more than any model has. Fetch it again.")


def check_part(config: Mapping[str, Any], place: Path) -> None:
    """The same for what is no model: a scheduler makes tables of all its timesteps, an extractor of its window."""
    for name in TABLES:
        value = config.get(name, 1)
        none = value is None and name != TRAINED
        if not none and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= STEPS):
            raise NexusError(
                f"'{place}' sets {name} = {str(value)[:40]}: a number from 1, of at most {STEPS:,}, is allowed. It is "
                "damaged or hostile: fetch it again from where the weights are."
            )
    spared = {*WORDS, *(name for name in ENDLESS if config.get(name) == -math.inf)}
    check({name: value for name, value in config.items() if name not in spared}, place)


def _counts(name: str) -> bool:
    return any(word in name for word in COUNTS)


def _most(name: str) -> int:
    if _counts(name):
        return LONGEST
    wide = ("dim", "channels", "size", "width", "features")
    if "sample_size" in name or "pos_embed" in name:
        return LONGEST * 4
    return WIDEST if any(word in name for word in wide) and "vocab" not in name else LARGEST


def _numbers(value: Any, name: str, depth: int, place: Path) -> list[tuple[str, float]]:
    if depth > DEEPEST:
        raise NexusError(f"'{place}' nests its values more than {DEEPEST} deep. Fetch it again.")
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, (int, float)):
        return [(name, float(value) if not abs(value) >= 1 << 1000 else math.inf)]
    if isinstance(value, Mapping):
        items = [(f"{name}.{key}" if name else str(key), each) for key, each in value.items()]
    else:
        items = [(name, each) for each in value]
    if len(items) > LONGEST:
        raise NexusError(f"'{place}' holds {len(items):,} values in '{name}': no model has so many. Fetch it again.")
    return [found for key, each in items for found in _numbers(each, key, depth + 1, place)]
