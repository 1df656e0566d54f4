"""Readers of the generated data: clips come from a part and an index, so there is no file to open."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from nexus_specs import NexusError, Sample, Split, content_key, option

from .places import table

COUNTS = {"train": 5000, "development": 800, "held_out": 2000}


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What both readers share: parts of any length, and a transfer part that is labelled in part."""

    count: int = option(0, help="Clips of a part; 0: 5000 to train, 800 for development, 2000 held out", low=0)
    transfer: int = option(0, help="Clips of the transfer part alone; 0: as `count` says", low=0)
    labelled: float = option(0.1, help="Share of the transfer part that keeps its label", low=0, high=1)

    domain = ""
    field = ""

    @property
    def generator(self) -> ModuleType:
        """The module whose `clip` makes a clip; imported only when one is wanted."""
        raise NotImplementedError

    def classes(self) -> int:
        """How many labels take turns."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Fields that all clips share."""
        return {}

    def files(self, split: Split) -> tuple[Path, ...]:
        """Files that the clips of a part are made from."""
        return ()

    def fingerprint(self, split: Split) -> str:
        """The generator's own source, the files it draws from and the options: the same clips follow from these."""
        digest = hashlib.sha256(inspect.getsource(self.generator).encode())
        for path in self.files(split):
            digest.update(path.read_bytes())
        digest.update(repr((split, self.length(split), self.labelled)).encode())
        return digest.hexdigest()

    def samples(self, split: Split, start: int = 0) -> Iterator[Sample]:
        """The clips of a part, in order."""
        for index in range(start, self.length(split)):
            yield self.sample(split, index)

    def length(self, split: Split) -> int:
        """How many clips a part has."""
        if split not in COUNTS:
            raise NexusError(f"{self.domain} has no part '{split}'. Parts: {', '.join(COUNTS)}.")
        transfer = self.transfer if split == "train" else 0
        return transfer or self.count or COUNTS[split]

    def sample(self, split: Split, index: int) -> Sample:
        """One clip, without its label where the student must do without."""
        media, label = self.generator.clip(split, index)
        fields: dict[str, Any] = {self.field: media, **self.about(), "source": f"{self.domain}/{split}/{index}"}
        if split != "train" or self.is_labelled(index):
            fields["label"] = label
        return Sample(key=content_key(fields), fields=fields, domain=self.domain)

    def is_labelled(self, index: int) -> bool:
        """Whole rounds of all classes are labelled or not, evenly spread and beginning with the first."""
        turn = index // self.classes()
        before, after = (math.ceil(round(at * self.labelled, 9)) for at in (turn, turn + 1))
        return after > before


@dataclass(frozen=True, kw_only=True)
class KeypadTones(Generated):
    """Telephone keypad tones in noise; see `tones`.

    >>> sample = next(KeypadTones(count=16).samples("held_out"))
    >>> sample.fields["audio"].shape, sample.fields["label"]
    ((4080,), 0)
    """

    domain = "tones"
    field = "audio"

    @property
    def generator(self) -> ModuleType:
        """The module that makes the tones."""
        from . import tones

        return tones

    def classes(self) -> int:
        """One for each key."""
        return len(self.generator.KEYS)

    def about(self) -> dict[str, Any]:
        """The sampling rate."""
        return {"rate": self.generator.RATE}


@dataclass(frozen=True, kw_only=True)
class MovingDigits(Generated):
    """Films of a moving digit; see `motion`.

    >>> sample = next(MovingDigits(count=13).samples("held_out"))
    >>> sample.fields["video"].shape, sample.fields["label"]
    ((8, 16, 16, 3), 0)
    """

    domain = "motion"
    field = "video"

    @property
    def generator(self) -> ModuleType:
        """The module that makes the films."""
        from . import motion

        return motion

    def classes(self) -> int:
        """One for each motion."""
        return len(self.generator.NAMES)

    def files(self, split: Split) -> tuple[Path, ...]:
        """The digits that move."""
        return (table("digits", split),)
