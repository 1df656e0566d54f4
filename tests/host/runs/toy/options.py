from dataclasses import dataclass

from nexus_specs import location, neutral, option


@dataclass
class Lines:
    parts: dict[str, str] | None = location(None, help="Part -> file")  # noqa: RUF009
    path: str = location("", help="One file for all parts")


@dataclass
class Loss:
    temperature: float = option(1.0, help="Temperature")


@dataclass
class Tower:
    rank: int = option(4, help="Rank")
    decoder: str = location("", help="A file of its own")


@dataclass
class Student:
    width: int = option(8, help="Width")


@dataclass
class Work:
    steps: int = option(3, help="Steps")
    tick: float = neutral(0.0, help="Seconds that a step takes")
    fail: str = neutral("", help="How to go wrong")
    filler: int = neutral(0, help="Bytes to write beside the result")


@dataclass
class Release(Work):
    allow_below: bool = option(False, help="Release also what breaks its contract", flag="--allow-below")
