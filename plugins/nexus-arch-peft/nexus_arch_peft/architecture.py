"""The loader: any folder with an adapter_config.json, on top of the base that it names, or another: BASE+ADAPTER."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Checkpoint, Installed, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import folder

from .settings import CONFIG, base_of, read

DEEPEST, SHOWN = 8, 4
"""Adapters on top of adapters; names that a message shows."""
MODELS = ("config.json", "model_index.json")
"""Files of folders that are models."""


class Peft:
    """Kind "architecture": adapters, merged into their base as it is read."""

    def match(self, source: str) -> int:
        """2 for a folder of an adapter, also where a copy of the base's configuration lies beside it. NexusError for a
        folder of several and nothing else, as peft saves those that have names."""
        home = folder(parts(source)[1])
        if (home / CONFIG).is_file():
            return 2
        bare = bool(source) and home.is_dir() and not any((home / name).exists() for name in MODELS)
        if bare and (several := sorted(each.parent.name for each in home.glob(f"*/{CONFIG}"))):
            shown = ", ".join(f"{source.rstrip('/')}/{name}" for name in several[:SHOWN])
            more = ", …" if len(several) > SHOWN else ""
            raise NexusError(f"'{source}' holds adapters in folders of their own. Name one of them: {shown}{more}.")
        return 0

    def inspect(self, source: str) -> Blueprint:
        """What base and adapter are together; reads configuration and headers. The base is found as it is installed."""
        return self.open(source, Installed()).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The base with the adapter's products in its weights. NexusError for what cannot be merged exactly."""
        from .checkpoint import Adapted, Foreign  # torch and transformers: not for `match`
        from .heads import under_its_head

        named, adapter = parts(source)
        home = folder(adapter)
        settings = read(home, named=bool(named))
        if not named:
            self._check(home)
        name = named or base_of(home, settings)
        try:
            base: Any = lookup.open(name)
        except NexusError as error:
            raise NexusError(f"The adapter '{source}' stands on '{name}': {error}") from error
        try:
            return Adapted(home, settings, base)
        except Foreign:
            headed = None
            with suppress(NexusError):                      # then the first reason is the plainer one
                headed = under_its_head(home, settings, base)
            if headed is None:
                raise
            return Adapted(home, settings, headed)

    def origin(self, source: str) -> Origin | None:
        """Where adapter and base lie, if one of them is not on this machine: both at one commit, and both to fetch."""
        named, adapter = parts(source)
        own = hub.origin(adapter)
        home = folder(own.source if own else adapter)
        base = named or base_of(home, read(home))
        under = hub.origin(base)
        found = [each for each in (own, under) if each is not None]
        if not found:
            return None
        pinned = own.source if own else adapter
        return Origin(
            source=f"{under.source if under else base}+{pinned}" if named or under else pinned,
            commit=found[0].commit,
            bytes=sum(each.bytes for each in found),
            missing=sum(each.missing for each in found),
        )

    def _check(self, home: Path) -> None:
        """NexusError for adapters that stand on each other in a circle."""
        seen = [home.resolve()]
        while (at := Path(base_of(seen[-1], read(seen[-1])))).is_dir() and (at / CONFIG).is_file():
            if at.resolve() in seen or len(seen) > DEEPEST:
                raise NexusError(f"The adapter '{home}' stands on itself. Name its base in {CONFIG}.")
            seen.append(at.resolve())


def parts(source: str) -> tuple[str, str]:
    """The base ("": the one that the adapter names) and the adapter of a source.

    >>> parts("models/qwen+adapters/poet"), parts("adapters/poet")
    (('models/qwen', 'adapters/poet'), ('', 'adapters/poet'))
    """
    if "+" not in source or Path(source).exists():
        return "", source
    base, _, adapter = source.rpartition("+")
    return base, adapter
