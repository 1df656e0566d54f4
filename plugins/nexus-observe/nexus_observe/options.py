"""Options of the stages and commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
    threads: int = neutral(1, help="Threads; 1 gives the same bits as a run")


@dataclass(frozen=True, kw_only=True)
class EvaluateReleaseOptions:
    """Which release."""

    release: Path = field(
        default=Path("nexus-run/release"), metadata={"argument": True, "help": "The release's folder"}
    )
    json: bool = option(False, help="Print JSON instead of a table")
    threads: int = neutral(1, help="Threads; 1 gives the same bits as a run")
