"""Whose failure it is that an architecture cannot be compared: transformers' own, or ours who made configuration and
inputs.

It is transformers' where nothing of ours took part: a library that the class asks for, a class without a forward, a
default configuration, as it is, that its own class cannot be built from, a checkpoint that it saved and cannot load.
Anything else counts as ours until it is mended, whatever raised it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .table import OURS, THEIRS


class Refused(Exception):
    """transformers raised; `cause` is what, and `whose` whose it is."""

    def __init__(self, stage: str, cause: BaseException, whose: str) -> None:
        super().__init__(f"{stage}: {cause}")
        self.stage, self.cause, self.whose = stage, cause, whose


class Stage:
    """What is raised inside is Refused, with the stage at which it was."""

    def __init__(self, name: str, model_type: str, head: str) -> None:
        self.name, self.model_type, self.head = name, model_type, head

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, Refused):
            theirs = _theirs(self.name, self.model_type, self.head, error)
            raise Refused(self.name, theirs or error, THEIRS if theirs else OURS) from error


def _theirs(stage: str, model_type: str, head: str, error: Exception) -> Exception | None:
    """What plain transformers raises without anything of ours; None where it does not."""
    if isinstance(error, ImportError) or stage in ("save", "load"):
        return error
    if stage == "forward":
        return error if getattr(transformers, head).forward is nn.Module.forward else None
    try:
        with torch.device("meta"):
            getattr(transformers, head)._from_config(CONFIG_MAPPING[model_type]())
    except Exception as own:
        return own
    return None
