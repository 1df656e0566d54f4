"""Options of the stages and commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nexus_specs import neutral, option


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """What a shard holds."""

    exact: int = option(16, help="Most likely tokens that are kept exactly", low=1)
    sampled: int = option(16, help="Tokens drawn from the rest, each with an equal share of its mass", low=1)
    per_shard: int = option(256, help="Samples in one file", low=1)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How intervals are found."""

    draws: int = option(2000, help="Bootstrap draws behind every interval", low=100)


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Which release, and how closely."""

    release: Path = field(
        default=Path("nexus-run/release"), metadata={"argument": True, "help": "The release's folder"}
    )
    tolerance: float = option(1e-6, help="Largest difference between a recorded score and the new one", low=0)
    data: tuple[str, ...] = option((), help="Where held-out data and decoders lie: a folder with them, or the file")
    threads: int = neutral(1, help="Threads; 1 gives the same bits as a run")


@dataclass(frozen=True, kw_only=True)
class EvaluateReleaseOptions:
    """Which release."""

    release: Path = field(
        default=Path("nexus-run/release"), metadata={"argument": True, "help": "The release's folder"}
    )
    json: bool = option(False, help="Print JSON instead of a table")
    data: tuple[str, ...] = option((), help="Where the held-out data lie: a folder that holds them, or the file")
    threads: int = neutral(1, help="Threads; 1 gives the same bits as a run")


@dataclass(frozen=True, kw_only=True)
class TapsOptions:
    """One teacher, some data, some layers."""

    source: str = field(
        default="", metadata={"argument": True, "help": "A folder, a package: resource or a hub id"}
    )
    data: str = option("", help="What the teacher is asked: a file or a folder")
    out: Path = field(default=Path("nexus-taps"), metadata={"help": "Folder of the shards"})
    taps: str = option("", help="Layers by commas: numbers in the largest stack (8,16, or -1), or module paths")
    memory: str = option("", help="What weights and states may take: 2GiB, 500MB; empty: most of what is free")
    disk: str = option("", help="What files of a hub and states may take: 20GB; empty: as the engine does")
    residency: Literal["auto", "resident", "offload", "stream"] = neutral("auto", help="How the teacher is held")
    micro_batch: int = option(0, help="Samples that pass at once; 0: as the memory allows", low=0)
    samples: int = option(0, help="At most this many samples; 0: all", low=0)
    threads: int = neutral(0, help="Threads; 0: all cores")
