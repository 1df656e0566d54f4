"""The classes that a checkpoint's files name for its tokenizer and processors: looked at before transformers follows.

transformers takes any of its names there and calls `from_pretrained` on it: "tokenizer_class": "AutoModelForCausalLM"
would read the weights, pickled ones too, by a config.json that nobody looked at, with a kernel of the hub that it asks
for as its attention. An audio tokenizer named in a processor's file is a whole model in another place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers
from nexus_specs import NexusError
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.feature_extraction_utils import FeatureExtractionMixin
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils.import_utils import DummyObject

from ..folder import CONFIG, parsed

FILES = (
    CONFIG, "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json",
)  # fmt: skip
ENTRY = re.compile(r"(?!audio_tokenizer)\w*(tokenizer|processor|extractor)_(class|type)")
"""Entries that name a class; a processor's audio tokenizer is never made (`without_models`)."""
MAKERS = (PreTrainedTokenizerBase, ProcessorMixin, FeatureExtractionMixin, ImageProcessingMixin)
"""What makes tensors of samples, and has no weights."""


def check_classes(home: Path) -> None:
    """NexusError for a class of transformers that makes no tensors of samples, where a file names one that does."""
    for name in FILES:
        place = home / name
        for entry, value in _named(parsed(place)) if place.is_file() else ():
            if not makes_tensors(value):
                raise NexusError(
                    f"'{place}' names {value!r} as its {entry}, which is no tokenizer, processor or feature extractor. "
                    "The file is damaged or hostile: fetch it again from where the weights come from."
                )


def program(home: Path) -> str:
    """The class that a folder's tokenizer is, where that is a program beside the weights and transformers has none of
    its name; "" for all others."""
    place = home / "tokenizer_config.json"
    values = parsed(place) if place.is_file() else {}
    mapped = values.get("auto_map")
    own = mapped.get("AutoTokenizer") if isinstance(mapped, Mapping) else mapped
    named = [each.rpartition(".")[2] for each in (own if isinstance(own, list) else [own]) if isinstance(each, str)]
    said = values.get("tokenizer_class")
    known = [each for each in (said, *named) if isinstance(each, str) and hasattr(transformers, each)]
    return "" if not named or known else named[0]


def makes_tensors(name: str) -> bool:
    """Whether a name is that of such a class, or of nothing that transformers has here."""
    try:
        found = getattr(transformers, name, None)
    except ImportError:                                     # a library that is missing: its class makes nothing here
        return True
    return found is None or isinstance(found, DummyObject) or (isinstance(found, type) and issubclass(found, MAKERS))


def without_models(kind: Any) -> Any:
    """A processor's class that reads its files and loads no model that they name."""
    return type(kind.__name__, (_Closed, kind), {})


class _Closed:
    """Before a processor's class."""

    @classmethod
    def get_processor_dict(cls, *place: Any, **more: Any) -> Any:
        """As transformers reads it; its audio tokenizer is None."""
        silent: Any = type(cls.__name__, (_Silent, cls), {})
        return super(_Closed, silent).get_processor_dict(*place, **more)  # type: ignore[misc]


class _Silent:
    """Before a processor's class: every class that its file names for a model is one that makes None."""

    @staticmethod
    def get_possibly_dynamic_module(_: str) -> Any:
        """Where transformers looks for the class of the audio tokenizer."""
        return _Silent

    @staticmethod
    def from_pretrained(*_: Any, **__: Any) -> None:
        """Nothing is opened."""


def _named(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Entries that name classes, however deep, with each name."""
    for entry, value in values.items():
        if isinstance(value, Mapping):
            yield from _named(value)
        elif ENTRY.fullmatch(str(entry)):
            yield from ((str(entry), each) for each in (value if isinstance(value, list) else [value])
                        if isinstance(each, str))  # fmt: skip
