"""adapter_model.safetensors: what an adapter holds, and where."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import Extent, NexusError
from nexus_torch import hub
from nexus_torch.hugging_face.header import file_extents

from .settings import WEIGHTS


def extents_of(home: Path) -> list[Extent]:
    """The adapter's stored tensors. NexusError where they are pickled or not there."""
    pickled = home / "adapter_model.bin"
    if pickled.is_file() and not (home / WEIGHTS).is_file():
        raise NexusError(
            f"'{pickled}' is a pickle, which can run code when opened, so it is not read. Convert it once, where you "
            f"trust it:\n  python -c \"import torch, safetensors.torch as s; s.save_file(torch.load({str(pickled)!r}, "
            f"weights_only=True), {str(home / WEIGHTS)!r})\""
        )
    if not (home / WEIGHTS).is_file() and hub.behind(home) is None:
        raise NexusError(f"'{home}' has no file '{WEIGHTS}', the adapter's weights. Put it beside adapter_config.json.")
    return file_extents(hub.place(home, WEIGHTS))
