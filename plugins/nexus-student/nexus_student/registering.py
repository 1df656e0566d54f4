"""Registers the student with transformers' Auto classes on import, and imports nothing heavy to do so.

Plugin discovery imports this package in every command, so `import nexus_student` cannot bring transformers. It
registers at once where transformers' Auto classes are there already; else as soon as they have been imported.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

AUTO = "transformers.models.auto.configuration_auto"
"""Where `AutoConfig` lives: whoever opens a checkpoint by its configuration has imported it."""


def register() -> None:
    """Makes the configuration known to AutoConfig; making one registers the model (`NexusConfig`). Where transformers
    does not fit, it is left as it is: what uses the student says so."""
    with suppress(ImportError, AttributeError, ValueError):
        from transformers import AutoConfig

        from .config import NexusConfig

        AutoConfig.register(NexusConfig.model_type, NexusConfig, exist_ok=True)


class _Once(MetaPathFinder):
    """Finds the module of AutoConfig as everybody does, and registers once it has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of AutoConfig's module; None for any other."""
        if name != AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def then_register(module: ModuleType) -> None:
                run(module)
                register()

            spec.loader.exec_module = then_register  # type: ignore[method-assign]
        return spec


def watch() -> None:
    """Registers now or later."""
    if AUTO in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _Once())
