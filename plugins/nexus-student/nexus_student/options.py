"""Options of the plugin's components. Imports nothing heavy: listings read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nexus_specs import option


@dataclass(frozen=True)
class StudentOptions:
    """A new core (`core: auto`), and how towers change any core."""

    layers: int = option(4, help="Decoder layers of a new core", low=1)
    width: int = option(128, help="Width of a new core", low=8)
    heads: int = option(0, help="Attention heads; 0: one for every 32 of width", low=0)
    kv_heads: int = option(0, help="Key and value heads; 0: as many as heads", low=0)
    intermediate: int = option(0, help="Width of the feed-forward layers; 0: three times the width", low=0)
    context: int = option(1024, help="Longest text in tokens", low=8)
    tokenizer: str = option("", help="Core teacher whose tokenizer is the core's own; empty: the largest vocabulary")
    alpha: float = option(2.0, help="Scale of LoRA: alpha / rank = this", low=0)
    compress: bool = option(False, help="Store what is trained as bfloat16")


@dataclass(frozen=True)
class ReleaseOptions:
    """What a release may lack."""

    allow_below: bool = option(False, help="Release capabilities that kept less than their share", flag="--allow-below")


RELEASE = Path("nexus-run/release")


@dataclass(frozen=True)
class ChatOptions:
    """What is asked, and whom."""

    release: Path = field(default=RELEASE, metadata={"argument": True, "help": "The release's folder"})
    prompt: str | None = option(None, help="A text to go on from; without any input it converses")
    image: str = option("", help="An image file to look at")
    audio: str = option("", help="A sound file to listen to")
    video: str = option("", help="A film to watch: a video file, or .npy frames")
    tower: str = option("", help="The tower that answers, whatever the router says")
    length: int = option(64, help="Tokens of an answer", low=1)


@dataclass(frozen=True)
class TowerOptions:
    """What is done with the towers of which release."""

    action: Literal["add", "remove", "list"] = field(
        default="list", metadata={"argument": True, "help": "add, remove or list"}
    )
    release: Path = field(default=RELEASE, metadata={"argument": True, "help": "The release's folder"})
    source: str = field(
        default="", metadata={"argument": True, "help": "add: a tower's folder or RELEASE#TOWER; remove: its name"}
    )
    json: bool = option(False, help="list: print JSON")
