"""The processor of a checkpoint that reads several modalities at once, from the parts that work here.

transformers' own loading wants every part of it, and a part for films wants torchvision even where there are no
films. Here a part that cannot be had is left out, and the processor refuses when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import transformers
from nexus_specs import NexusError
from nexus_specs.installed import STOPS
from PIL import Image
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from ..folder import configuration
from .named import check_classes, makes_tensors, without_models

NAMES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Files that may name the class."""
BEFORE = ("vision_start_token", "vision_bos_token", "audio_bos_token")
AFTER = ("vision_end_token", "vision_eos_token", "audio_eos_token")
"""Attributes of processors: what stands around the place of an image, or of a sound, in a text."""
SMALL = 64
"""Pixels of the side of a picture with which a processor is tried."""
PLACES = {"image": "image_token", "audio": "audio_token", "video": "video_token"}

PARTS = {
    "image": ("image_processor",), "video": ("video_processor",), "audio": ("feature_extractor", "audio_processor"),
}  # fmt: skip
"""Parts of processors that make something of a medium."""
ARGUMENTS = {
    "image": ("pixel", "image", "flattened", "patch"), "video": ("pixel", "video"),
    "audio": ("input", "audio", "speech"),
}  # fmt: skip
"""How arguments begin that are made of it."""


def processor_class(home: Path, model_type: str) -> type | None:
    """The class that the files name, else the one that transformers has for the model type."""
    from ..folder import parsed

    named = [str(parsed(home / name).get("processor_class") or "") for name in NAMES if (home / name).is_file()]
    for name in (*named, PROCESSOR_MAPPING_NAMES.get(model_type) or ""):
        if name and isinstance(found := getattr(transformers, name, None), type) and makes_tensors(name):
            return found
    return None


def load(home: Path, part: Callable[[str], Any]) -> Any:
    """The processor; `part` gives a tokenizer, image processor or feature extractor by its name. NexusError where
    there is no class for it, or where its files do not fit together."""
    kind: Any = processor_class(home, str(configuration(str(home)).get("model_type")))
    if kind is None:
        raise NexusError(
            f"'{home.name}' takes several modalities at once and has no processor that transformers knows. Give its "
            "inputs as fields named like the arguments of its forward, or one modality a sample."
        )
    check_classes(home)
    try:
        values, _ = without_models(kind).get_processor_dict(home, local_files_only=True)
        parts = {name: _found(part, name) for name in kind.get_attributes()}
        lenient: Any = type(kind.__name__, (_Lenient, kind), {})
        made = lenient.from_args_and_dict(list(parts.values()), values)
    except NexusError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise NexusError(f"The processor of '{home.name}' ({kind.__name__}) cannot be made: {text}") from error
    for name, each in parts.items():
        if each is None:
            delattr(made, name)
    return made


def with_places(processor: Any, text: str, media: Mapping[str, int]) -> str:
    """The text, with a place for each image and sound before it where it has none."""
    for kind, count in media.items():
        token = getattr(processor, PLACES[kind], None)
        token = getattr(token, "content", token)
        if isinstance(token, str) and token not in text:
            text = _around(processor, token, kind) * count + text
    return text


def writes(processor: Any) -> bool:
    """Whether it writes the places of a picture before any text, so that one that stands there is one too many (BLIP-2,
    Florence-2)."""
    mark = getattr(processor, PLACES["image"], "")
    mark = str(getattr(mark, "content", mark))
    sample = Image.new("RGB", (SMALL, SMALL))

    def places(text: str) -> int:
        """How many stand in it; -1 where it is refused."""
        try:
            ids = processor(text=[text], images=[[sample]])["input_ids"][0]
            return list(ids).count(processor.tokenizer.convert_tokens_to_ids(mark))
        except STOPS:
            raise
        except BaseException:
            return -1

    return bool(mark) and (own := places("a")) > 0 and places(f"{mark}a") != own


def check_parts(processor: Any, media: Iterable[str], name: str) -> None:
    """NexusError for a medium whose part of a processor cannot be had: it would be left out without a word."""
    names = type(processor).get_attributes()
    for kind in media:
        parts = [part for part in PARTS[kind] if part in names]
        if parts and all(getattr(processor, part, None) is None for part in parts):
            what = "Films need torchvision, which is not installed: give" if kind == "video" else "Give"
            raise NexusError(
                f"The processor of '{name}' has no {parts[0]} here, so {kind} would be left out. {what} the samples "
                f"its ready arguments (pixel_values_videos and the like), or no `{kind}`."
            )


def check_kept(batch: Mapping[str, Any], media: Iterable[str], name: str) -> None:
    """NexusError for a medium of which a processor made nothing."""
    for kind in media:
        if not any(key.startswith(ARGUMENTS[kind]) for key in batch):
            raise NexusError(
                f"The processor of '{name}' makes nothing of `{kind}`: its batch has {', '.join(batch)}. Give the "
                f"samples its ready arguments, or no `{kind}`."
            )


class _Lenient:
    """Before a processor's class: parts may be missing."""

    def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
        """As transformers checks them, but None passes."""
        return None if part is None else super().check_argument_for_proper_class(name, part)  # type: ignore[misc]


def _found(part: Callable[[str], Any], name: str) -> Any:
    try:
        return part(name)
    except NexusError:
        if "video" in name or "audio_tokenizer" in name:
            return None
        raise


def _around(processor: Any, token: str, kind: str) -> str:
    wanted: Sequence[str] = ("vision",) if kind != "audio" else ("audio",)

    def first(names: Sequence[str]) -> str:
        every = (getattr(processor, name, None) for name in names if name.split("_")[0] in wanted)
        return next((each for each in every if isinstance(each, str) and each != token), "")

    return first(BEFORE) + token + first(AFTER)
