"""What modules write into containers among their arguments: keys and values for the layers behind them (Gemma 3n and 4
hand one dictionary to all layers). Whoever takes over a module's output takes this over, too: what is taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ..outputs.taps import first_tensor

Place = int | str
"""Number or name of an argument."""
Containers = Mapping[Place, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """An intact output that variants take over, and its version, since a model may write into it later."""

    output: Any
    version: int
    written: Containers
    """What the module wrote into containers that it was given."""

    @property
    def changed(self) -> bool:
        """Whether the model wrote into the output after it was made."""
        return first_tensor(self.output)._version != self.version


def containers(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Containers:
    """Dictionaries and lists among arguments."""
    every = (*enumerate(args), *kwargs.items())
    return {place: each for place, each in every if isinstance(each, (dict, list, MutableMapping))}


def copies(given: Containers) -> Containers:
    """What is in them now."""
    return {place: list(each) if isinstance(each, list) else dict(each) for place, each in given.items()}


def written(given: Containers, before: Containers) -> Containers:
    """What is in those that are not as they were before."""
    return {place: now for place, now in copies(given).items() if _differs(now, before[place])}


def hand_over(made: Containers, given: Containers) -> None:
    """Into the same containers of another forward.

    >>> mine = {"shared": {}, 0: [1]}; hand_over({"shared": {"keys": 2}, 0: [1, 3]}, mine); mine
    {'shared': {'keys': 2}, 0: [1, 3]}
    """
    for place, values in made.items():
        target = given.get(place)
        if target is None or target is values:
            continue
        target.clear()
        target.extend(values) if isinstance(target, list) else target.update(values)


def _differs(now: Any, before: Any) -> bool:
    if isinstance(now, list):
        return len(now) != len(before) or any(one is not other for one, other in zip(now, before, strict=True))
    return now.keys() != before.keys() or any(each is not before[name] for name, each in now.items())
