"""How a folder of sentence-transformers makes one vector of a text: as its modules.json and the pooling's file say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Signal
from torch import Tensor, nn

from ..folder import CONFIG, parsed_list
from ..folder import parsed as parsed_object
from ..telling import once

MODULES, LENGTH = "modules.json", "sentence_bert_config.json"
"""Files that name the steps, and the longest text."""


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    return (states * mask).sum(1) / mask.sum(1)


def _weighted(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask * torch.arange(1, states.shape[1] + 1, device=states.device)[None, :, None]
    return (states * weights).sum(1) / weights.sum(1)


def _last(states: Tensor, mask: Tensor) -> Tensor:
    at = mask[..., 0].sum(1).long() - 1
    return states[torch.arange(len(states), device=states.device), at.to(states.device)]


MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls_token": lambda states, _: states[:, 0],
    "max_tokens": lambda states, mask: states.masked_fill(mask == 0, -torch.inf).amax(1),
    "mean_tokens": _mean,
    "mean_sqrt_len_tokens": lambda states, mask: (states * mask).sum(1) / mask.sum(1).sqrt(),
    "weightedmean_tokens": _weighted,
    "lasttoken": _last,
}  # fmt: skip
"""Name behind "pooling_mode_" -> states [B, T, D] of tokens and their mask [B, T, 1] to [B, D]; several are put side by
side in this order."""


@dataclass(frozen=True)
class Pooling:
    """What is done to the states."""

    modes: tuple[str, ...]
    normal: bool
    """Whether vectors are of length one."""
    longest: int
    """Tokens of a text; 0: not said."""

    def __call__(self, found: Signal, output: Any, batch: Batch) -> Signal:
        """The signal, with this vector as its embedding."""
        body = output if getattr(output, "last_hidden_state", None) is not None else getattr(output, "body", None)
        states, tokens = getattr(body, "last_hidden_state", None), batch.get("input_ids")
        if not isinstance(states, Tensor) or not isinstance(tokens, Tensor) or states.shape[:2] != tokens.shape:
            return found
        mask = batch.get("attention_mask", torch.ones_like(tokens)).to(states)[..., None]
        vector = torch.cat([MODES[mode](states, mask) for mode in self.modes], -1)
        vector = nn.functional.normalize(vector, dim=-1) if self.normal else vector
        return Signal(outputs={"output": vector, "embedding": vector})


def pooling(home: Path) -> Pooling | None:
    """What a folder says; None for one that says nothing. NexusError for a pooling that is not known here."""
    if not (home / MODULES).is_file():
        return None
    steps = [each for each in parsed_list(home / MODULES) if isinstance(each, Mapping)]
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in steps]
    if "Pooling" not in kinds:
        return None
    where = PurePosixPath(str(steps[kinds.index("Pooling")].get("path", "")))
    file = home / where / CONFIG
    if where.is_absolute() or ".." in where.parts or not file.is_file():
        raise NexusError(f"'{home / MODULES}' names the pooling '{where}', and '{file}' is not there. Fetch it.")
    if others := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]:
        once(
            ("pooling", str(home)),
            f"The embedding of '{home.name}' is that before {', '.join(ascii(kind[:40]) for kind in others)}, which "
            "modules.json names behind its pooling.",
        )
    longest = parsed_object(home / LENGTH).get("max_seq_length") if (home / LENGTH).is_file() else 0
    return Pooling(_modes(file), "Normalize" in kinds, longest if isinstance(longest, int) and longest > 0 else 0)


def _modes(file: Path) -> tuple[str, ...]:
    """Of the pooling's file, in the older way of writing it (a switch for each) or the newer (one name)."""
    said = parsed_object(file)
    short = {mode.removesuffix("_tokens").removesuffix("_token"): mode for mode in MODES}
    named = said.get("pooling_mode")
    named = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    found = [mode for mode in MODES if said.get(f"pooling_mode_{mode}") is True]
    found += [short.get(str(each), str(each)) for each in named]
    if not found or any(mode not in MODES for mode in found):
        raise NexusError(f"'{file}' names no pooling that is known here: {', '.join(MODES)}. Fetch the file again.")
    return tuple(mode for mode in MODES if mode in found)
