"""What a kind is: how its model is made without weights, and the samples that it is shown.

@kind(picture, written)
def llava() -> Made:
    "llava-hf/llava-1.5-7b-hf, 2 of 32 layers."
    return hf.LlavaForConditionalGeneration(...), processor
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Made = tuple[Any, ...]
"""A model, and what makes its tensors: things with `save_pretrained`; a mapping becomes `processor_config.json`."""
Maker = Callable[[int], dict[str, Any]]
"""Fields of a sample by its number."""


@dataclass(frozen=True)
class Kind:
    """One published checkpoint."""

    make: Callable[[], Made]
    makers: tuple[Maker, ...]
    tap: str = ""
    """What is looked at; if empty, the scores of its words, or else its output."""
    dtype: str = "bfloat16"
    """In which it is stored, and runs."""

    def fields(self, number: int) -> dict[str, Any]:
        """Of one sample."""
        return {name: value for maker in self.makers for name, value in maker(number).items()}


KINDS: dict[str, Kind] = {}


def kind(*makers: Maker, tap: str = "", dtype: str = "bfloat16") -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Adds one, under the function's name."""

    def add(make: Callable[[], Made]) -> Callable[[], Made]:
        if make.__name__ in KINDS:
            raise ValueError(f"Two kinds are called {make.__name__}.")
        KINDS[make.__name__] = Kind(make, makers, tap, dtype)
        return make

    return add


def ids(words: Any, marks: Mapping[str, str]) -> dict[str, int]:
    """A configuration's names for tokens -> their ids."""
    return {name: int(words.convert_tokens_to_ids(text)) for name, text in marks.items()}
