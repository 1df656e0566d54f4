"""The loader: one GGUF file, or the splits of one, with everything that a model needs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.quiet import quiet
from nexus_torch.hugging_face.weights.leftover import tell

from .source import Source, chosen, files, located

if TYPE_CHECKING:
    from .checkpoint import GgufCheckpoint


class Gguf:
    """Kind "architecture": GGUF files. The header is read by a bounded scanner; nothing in a file is run."""

    def match(self, source: str) -> int:
        """2 for a GGUF file, or a folder of them; no more is read than how a file begins."""
        return 2 if located(source) is not None else 0

    def origin(self, source: str) -> Origin | None:
        """The commit and the sizes of what lies on a hub; None for what is here."""
        path = located(source)
        address = hub.Address.parse(str(path)) if path else None
        names = [] if address is None or path is None else [hub.Address.parse(str(each)) for each in files(path)]
        return hub.origin(source, [each.file for each in names if each])

    def latest(self, source: str) -> str:
        """The commit that a name on the hub has now; "" where nobody can tell."""
        return hub.latest(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads the header, and small tensors of rotary factors. Tensors that nothing is made
        of are told."""
        checkpoint = self._checkpoint(source)
        tell(source, checkpoint.described.head, checkpoint.unused, checkpoint.source.places)
        return checkpoint.described

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint."""
        return self._checkpoint(source)

    @quiet()
    def _checkpoint(self, source: str) -> GgufCheckpoint:
        path = located(source)
        if path is None:
            raise NexusError(f"'{source}' is no GGUF file, and no folder with one GGUF model in it.")
        header = Source(chosen(source, path))               # a damaged one is refused before anything is imported

        from .opening import open_checkpoint  # torch and transformers: not for `match`

        return open_checkpoint(header)
