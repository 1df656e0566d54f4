"""The disk that one observation may take: one budget for all that is put there.

Three share `run.disk` (`--disk`): files that come from a hub, states that memory does not hold, and states that are
kept in case the process is killed. While a model is streamed, files have half of it at most, and more only where one
layer alone needs more. States that memory does not hold have what is left; where that is too little, kept ones go, and
then files that came ahead of their use. Kept ones have what nobody needs, and are done without where there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

Use = Literal["files", "spilled", "kept"]
GIVING: tuple[Use, ...] = ("kept", "files")
"""Who gives room to states that memory does not hold, in this order."""
ENDLESS = 1 << 62


class Disk:
    """A budget of `total` bytes (0: no limit), and who has how much of it."""

    def __init__(self, total: int = 0) -> None:
        self.total, self.lock = total, threading.Lock()
        self.taken: dict[Use, int] = {"files": 0, "spilled": 0, "kept": 0}
        self.give: dict[Use, Callable[[], None]] = {}
        """Lets go of what a use can do without, and says with `hold` what it has then."""

    @property
    def free(self) -> int:
        """Bytes that nobody has."""
        return self.total - sum(self.taken.values()) if self.total else ENDLESS

    def hold(self, use: Use, size: int) -> None:
        """What a use has now, or may come to have."""
        with self.lock:
            self.taken[use] = size

    def spill(self, size: int) -> bool:
        """Takes room for states that memory does not hold; False where there is none, whoever gives theirs."""
        for give in (None, *(self.give[use] for use in GIVING if use in self.give)):
            if give is not None:
                give()
            with self.lock:
                if self.free >= size:
                    self.taken["spilled"] += size
                    return True
        return False

    def shares(self) -> str:
        """Who has how much, for people.

        >>> disk = Disk(1000); disk.hold("files", 600); disk.shares()
        '600 bytes for files of the hub, 0 for states, 0 for states that are kept in case of a kill'
        """
        files, spilled, kept = (self.taken[use] for use in ("files", "spilled", "kept"))
        return (
            f"{files:,} bytes for files of the hub, {spilled:,} for states, {kept:,} for states that are kept in case "
            "of a kill"
        )
