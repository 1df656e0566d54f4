"""Which classes make tensors of a checkpoint's samples, as its files name them: nothing is built or imported for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from ..folder import parsed
from ..text.vocabulary import VOCABULARIES

TOKENIZER, PROCESSOR, PREPROCESSOR, VIDEO = (
    "tokenizer_config.json", "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json",
)  # fmt: skip
NAMED = (PROCESSOR, PREPROCESSOR, TOKENIZER)
"""Files that may name the processor of several modalities."""
GENERAL = "PreTrainedTokenizerFast"
"""What a tokenizer.json is where nothing names its class."""
PARTS: Mapping[str, tuple[tuple[str, ...], str, Mapping[str, Any]]] = {
    "image_processor": ((PREPROCESSOR,), "image_processor_type", IMAGE_PROCESSOR_MAPPING_NAMES),
    "feature_extractor": ((PREPROCESSOR,), "feature_extractor_type", FEATURE_EXTRACTOR_MAPPING_NAMES),
    "video_processor": ((VIDEO,), "video_processor_type", VIDEO_PROCESSOR_MAPPING_NAMES),
}
"""Kind -> the files that may describe one, the entry that names its class, and transformers' own choice."""
MEDIA = {"image_processor": "image", "feature_extractor": "audio", "video_processor": "video"}
WORD = re.compile(r"\w{1,100}")


def processors(home: Path, model_type: str, takes: tuple[str, ...]) -> dict[str, str]:
    """Kind ("processor", "tokenizer", "image_processor", "feature_extractor", "video_processor") -> class, of all that
    a folder has files for; where they name no class, the one that transformers takes for the model type."""
    said = {name: _said(home / name) for name in (TOKENIZER, PROCESSOR, PREPROCESSOR, VIDEO)}
    found: dict[str, str] = {}
    if whole := _whole(said, model_type, takes):
        found["processor"] = whole
    if any((home / name).is_file() for name in VOCABULARIES):
        found["tokenizer"] = _word(said[TOKENIZER].get("tokenizer_class")) or _auto(
            TOKENIZER_MAPPING_NAMES, model_type
        ) or GENERAL  # fmt: skip
    for kind in PARTS:
        if name := _part(kind, said, model_type, takes):
            found[kind] = name
    return found


def _whole(said: Mapping[str, Mapping[str, Any]], model_type: str, takes: tuple[str, ...]) -> str:
    """The class that makes one input of several modalities; "" where no file speaks of one."""
    named = next((name for file in NAMED if (name := _word(said[file].get("processor_class")))), "")
    there = said[PROCESSOR] or (len(takes) > 1 and (said[PREPROCESSOR] or said[VIDEO]))
    return named or (_auto(PROCESSOR_MAPPING_NAMES, model_type) if there else "")


def _part(kind: str, said: Mapping[str, Mapping[str, Any]], model_type: str, takes: tuple[str, ...]) -> str:
    """The class of one part: as its own file says, as the processor's file describes it, or as transformers has it."""
    files, entry, known = PARTS[kind]
    if kind == "feature_extractor" and "image" in takes and "audio" not in takes:
        return ""                           # what image processors were called once
    inner = said[PROCESSOR].get(kind)
    places = [*(said[file] for file in files), *([inner] if isinstance(inner, Mapping) else [])]
    if name := next((name for each in places if (name := _word(each.get(entry)))), ""):
        return name
    extractor = _word(said[PREPROCESSOR].get("feature_extractor_type"))
    if kind == "image_processor" and "image" in takes and extractor and "audio" not in takes:
        return extractor
    described = any(places) and MEDIA[kind] in takes and not extractor
    return _auto(known, model_type) if described else ""


def _auto(known: Mapping[str, Any], model_type: str) -> str:
    """transformers' choice for a model type: a name, or names by the library that it stands on."""
    found = known.get(model_type)
    if isinstance(found, Mapping):
        found = found.get("pil") or next(iter(found.values()), None)
    if isinstance(found, (tuple, list)):
        found = next((each for each in found if each), None)
    return _word(found)


def _word(value: Any) -> str:
    """A class's name; "" for whatever else stands there."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def _said(file: Path) -> Mapping[str, Any]:
    """The object in a small file; nothing where there is none that can be read."""
    try:
        return parsed(file) if file.is_file() else {}
    except NexusError:
        return {}
