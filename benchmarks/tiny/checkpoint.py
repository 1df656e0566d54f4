"""A tiny random checkpoint of one architecture, in transformers' own format, with inputs that it runs with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from nexus_torch.hugging_face.catalogue import GENERATIVE, tasks
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .inputs import Arguments, search
from .shrinking import LEVELS, shrink

LARGEST = 130_000_000
"""Parameters of a checkpoint that is still made here."""
NOISE = 0.02


@dataclass(frozen=True)
class Tiny:
    """A checkpoint on disk and the arguments of its samples."""

    folder: Path
    kind: type
    samples: list[Arguments]


def heads(model_type: str) -> list[str]:
    """The classes of transformers that this very configuration builds: those that generate, else the bare model, else
    any other. Text models listed under a composite's type are rows of their own type."""
    table = tasks()
    generate = [name for task in GENERATIVE for name in table.get(task, {}).get(model_type, ())]
    others = [name for task in sorted(table) for name in table[task].get(model_type, ())]
    for names in (generate, list(table[""].get(model_type, ())), others):
        if found := [name for name in dict.fromkeys(names) if _builds(name, CONFIG_MAPPING[model_type])]:
            return found
    return []


def _builds(head: str, config: Any) -> bool:
    """Whether a class is made of such a configuration; not of its text part, which has a type of its own."""
    made_of = _built_from(head)
    if made_of is None or made_of is object:
        return made_of is None
    return issubclass(config, made_of) or not isinstance(config().get_text_config(), made_of)


def _built_from(head: str) -> Any:
    """The configuration class of a head; None where transformers lacks a library that it needs here."""
    try:
        return getattr(getattr(transformers, head), "config_class", object)
    except ImportError:
        return None
    except AttributeError:                                  # listed, and not exported
        return object


def make(model_type: str, head: str, folder: Path) -> Tiny:
    """Builds, finds inputs, saves. Raises what transformers raises for the smallest form that it does not refuse."""
    kind, first = getattr(transformers, head), None
    for level in LEVELS:
        try:
            model = build(kind, shrink(CONFIG_MAPPING[model_type](), level))
            samples = search(model)
        except Exception as error:
            first = first or error
            continue
        model.save_pretrained(folder)
        return Tiny(folder, kind, samples)
    assert first is not None
    raise first


def build(kind: Any, config: Any) -> nn.Module:
    """The model with random weights, none of which is a constant that a missing one would equal."""
    with torch.device("meta"):
        size = sum(each.numel() for each in kind._from_config(config).parameters())
    if size > LARGEST:
        raise MemoryError(f"{size:,} parameters at the smallest: more than {LARGEST:,}")
    torch.manual_seed(0)
    model: nn.Module = kind._from_config(config, dtype=torch.float32).eval()
    for each in (model.config, model.config.get_text_config()):
        each.use_cache = False
    with torch.no_grad():
        for each in model.parameters():
            if each.is_floating_point():
                each.add_(torch.randn_like(each) * NOISE)
    return model
