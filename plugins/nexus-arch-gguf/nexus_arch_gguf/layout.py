"""What a layout is: the transformers class behind one GGUF architecture, and its own rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import transformers
from nexus_specs import NexusError
from torch import Tensor

from .rules import Rule
from .source import Source

Fill = Callable[[Source, dict[str, Any]], None]
"""Puts what is special about an architecture into the fields of a configuration."""
Constants = Callable[[Source, Any], Mapping[str, Tensor]]
"""From the source and the module without weights: tensors by their full name."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way in which a GGUF architecture lies in transformers."""

    head: str
    """Name of the model class."""
    rules: tuple[Rule, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields that the architecture implies and no metadata says."""
    fill: Fill | None = None
    absent: tuple[str, ...] = ()
    """Modules that the file never holds (towers, poolers): set to None in the skeleton."""
    constants: Constants | None = None
    """Weights and buffers that stand in metadata or follow from it."""
    blocks: str = "block_count"
    """The metadata that counts the layers which the file holds."""
    embeds: bool = True
    """Whether the file holds an embedding of tokens."""
    read: str = ""
    """A regular expression of tensors that become fields of the configuration, and no weights."""
    wants: str = ""
    """What the forward needs that no sample can give."""
    within: str = ""
    """The module of transformers in which the class is, where it is in no list of those for everybody."""

    @property
    def kind(self) -> Any:
        """The model class. NexusError where the installed transformers has none of this name."""
        with suppress(ImportError):
            around = import_module(f"transformers.models.{self.within}") if self.within else transformers
            if isinstance(found := getattr(around, self.head, None), type):
                return found
        raise NexusError(f"transformers {transformers.__version__} has no class {self.head}: install a newer one.")
