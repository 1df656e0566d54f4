"""A tiny random checkpoint of one architecture, in transformers' own format, with inputs that it runs with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from nexus_torch.hugging_face.configuration.catalogue import GENERATIVE, tasks
from nexus_torch.hugging_face.configuration.reading import text_part
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .drawn import PLAIN, Drawn
from .inputs import Arguments, Found, apart, search
from .refusing import Refused, Stage
from .shrinking import LEVELS, shrink

LARGEST = 130_000_000
"""Parameters of a checkpoint that is still made here."""
NOISE, LIMIT = 0.02, 100.0
"""What is added to every weight, and what none is beyond."""
FORWARDS = 3
"""Forwards that are under way together when a checkpoint is streamed."""


@dataclass(frozen=True)
class Tiny:
    """A checkpoint on disk and the arguments of its samples."""

    folder: Path
    kind: type
    samples: list[Arguments]
    """Those of one batch."""
    series: list[Arguments]
    """Different ones, of FORWARDS batches."""
    each: int
    """Samples of `series` that one batch takes."""
    part: str = ""
    """What of it runs, where the whole has no forward."""


def heads(model_type: str) -> list[str]:
    """The classes of transformers that this very configuration builds: those that generate, else the bare model, else
    any other; one that is borrowed only where there is none of its own. Text models listed under a composite's type
    are rows of their own type."""
    table = tasks()
    generate = [name for task in GENERATIVE for name in table.get(task, {}).get(model_type, ())]
    others = [name for task in sorted(table) for name in table[task].get(model_type, ())]
    config = CONFIG_MAPPING[model_type]
    for names in (generate, list(table[""].get(model_type, ())), others):
        if found := [name for name in dict.fromkeys(names) if _builds(name, config)]:
            own = [name for name in dict.fromkeys(others) if _is_own(name, config)]
            return found if any(_is_own(name, config) for name in found) else own[:1] or found
    return []


def _builds(head: str, config: Any) -> bool:
    """Whether a class is made of such a configuration; not of its text part, which has a type of its own."""
    made_of = _built_from(head)
    if made_of is None or made_of is object:
        return made_of is None
    return issubclass(config, made_of) or not isinstance(text_part(config()), made_of)


def _is_own(head: str, config: Any) -> bool:
    """Whether a class is of this very type, not one that is borrowed for it (Gemma 3 for ShieldGemma 2)."""
    made_of = _built_from(head)
    return made_of is None or (made_of is not object and issubclass(config, made_of))


def _built_from(head: str) -> Any:
    """The configuration class of a head; None where transformers lacks a library that it needs here."""
    try:
        return getattr(getattr(transformers, head), "config_class", object)
    except ImportError:
        return None
    except AttributeError:  # listed, and not exported
        return object


def make(model_type: str, head: str, folder: Path, drawn: Drawn = PLAIN) -> Tiny:
    """Builds, finds inputs, saves. Refused with what is raised for the smallest size, where all sizes are refused."""
    first: Refused | None = None
    for level in LEVELS:
        try:
            model, part, found = _running(model_type, head, level, drawn)
        except Refused as error:
            first = first or error
            continue
        with Stage("forward", model_type, head):
            series, each = apart(model.get_submodule(part), found, FORWARDS, drawn.seed)
        with Stage("save", model_type, head):
            model.to(getattr(torch, drawn.dtype)).save_pretrained(folder)
        return Tiny(folder, type(model), found.samples, series, each, part)
    assert first is not None
    raise first


def _running(model_type: str, head: str, level: str, drawn: Drawn) -> tuple[Any, str, Found]:
    """A model of this size, what of it runs, and arguments with which that does."""
    with Stage("build", model_type, head):
        model = build(getattr(transformers, head), shrink(CONFIG_MAPPING[model_type](), level), drawn.seed)
    with Stage("forward", model_type, head):
        part = runs(model)
        return model, part, search(model.get_submodule(part), drawn.seed)


def runs(model: nn.Module) -> str:
    """What of a model has a forward: "" for all of it, else the name of its first part that has one."""
    if type(model).forward is not nn.Module.forward:
        return ""
    parts = (name for name, each in model.named_children() if isinstance(each, transformers.PreTrainedModel))
    return next((name for name in parts if type(model.get_submodule(name)).forward is not nn.Module.forward), "")


def build(kind: Any, config: Any, seed: int = 0) -> nn.Module:
    """The model with random weights, none of which is a constant that a missing one would equal."""
    with torch.device("meta"):
        size = sum(each.numel() for each in kind._from_config(config).parameters())
    if size > LARGEST:
        raise MemoryError(f"{size:,} parameters at the smallest: more than {LARGEST:,}")
    torch.manual_seed(seed)
    model: nn.Module = kind._from_config(config, dtype=torch.float32).eval()
    for each in (model.config, text_part(model.config)):
        each.use_cache = False
    with torch.no_grad():
        for each in model.parameters():
            if each.is_floating_point():                    # some classes leave what was in memory before
                each.nan_to_num_(0.0).clamp_(-LIMIT, LIMIT)
                each.add_(torch.randn_like(each) * NOISE)
    return model
