"""One tiny teacher: what it stands for, how its folder is written, what goes in, and what it must equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import Sample


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A builder of one teacher."""

    name: str
    """Id of the card in registry.yaml; or of a relative that is checked beside it."""
    stands_for: str
    """Where the real one is."""
    build: Callable[[Path], Any]
    """Writes the folder; what it returns is the reference module, None where transformers opens the folder itself."""
    samples: Callable[[], Sequence[Sample]]
    checked: str = ""
    """What else is real: the processor, shards, the layout of another framework."""
    absent: str = ""
    """What could not be checked here, and why."""
    quick: bool = False
    """In the fast subset."""
    inner: str = ""
    """Path below the folder that is the source, where it is not the folder; `{folder}` in it is the folder."""
    needs: str = ""
    """A plugin without which there is no such loader."""
    outputs: tuple[int, ...] = (0,)
    """Places in the output that the builder's reference gives, in its order."""
    silent: tuple[str, ...] = ()
    """Beginnings of stacks that no forward of these inputs runs; `absent` says why."""
    last: bool = False
    """Whether a layer's state is the last of what it gives in the reference (text beside picture), not the first."""
    tolerance: float = 1e-5
    card: bool = True
    """Whether the registry has a card of this id."""
