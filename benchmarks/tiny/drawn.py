"""How random checkpoints and inputs are drawn, for a whole run alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawn:
    """What the table of the loader is made with; other seeds and dtypes go into tables of their own."""

    seed: int = 0
    dtype: str = "float32"
    """Of the stored weights, by torch's name. Both sides compute in float32, as Nexus does unless a run says more."""


PLAIN = Drawn()
