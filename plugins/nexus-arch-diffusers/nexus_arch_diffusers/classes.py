"""Names in a model index to classes, of diffusers and transformers alone: nothing else is ever imported."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import diffusers
import transformers
from diffusers import DiffusionPipeline, ModelMixin, SchedulerMixin
from diffusers.models.model_loading_utils import _CLASS_REMAPPING_DICT
from nexus_specs import NexusError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.feature_extraction_utils import FeatureExtractionMixin
from transformers.image_processing_base import ImageProcessingMixin
from transformers.processing_utils import ProcessorMixin

from .catalogue import folders

SAFE = (
    ModelMixin, SchedulerMixin, PreTrainedModel, PreTrainedTokenizerBase, FeatureExtractionMixin,
    ImageProcessingMixin, ProcessorMixin,
)  # fmt: skip
"""What a component may be."""


def model_class(config: dict[str, Any], place: Path, indexed: type[Any] | None = None) -> type[ModelMixin]:
    """The class that the configuration of one model names: one that diffusers exports, or the one that a model index
    found in a package of its pipelines (`indexed`)."""
    name = config.get("_class_name")
    name = _CLASS_REMAPPING_DICT.get(name, {}).get(config.get("norm_type"), name) if isinstance(name, str) else name
    found = _attribute(diffusers, name)
    found = indexed if found is None and indexed is not None and indexed.__name__ == name else found
    if not (isinstance(found, type) and issubclass(found, ModelMixin)):
        raise NexusError(
            f"'{place}' names the class {name!r}, and diffusers {diffusers.__version__} has no such model. Code from a "
            "checkpoint is never run: update diffusers, or install a loader plugin for this family."
        )
    return found


def pipeline_class(index: dict[str, Any], place: Path) -> type[DiffusionPipeline]:
    """The class that a model index names."""
    name = index.get("_class_name")
    found = _attribute(diffusers, name)
    if not (isinstance(found, type) and issubclass(found, DiffusionPipeline)) or found is DiffusionPipeline:
        raise NexusError(
            f"'{place}' names the pipeline {name!r}, and diffusers {diffusers.__version__} has none of that name. Code "
            "from a checkpoint is never run. One component opens without it: FOLDER#transformer, FOLDER#unet."
        )
    return found


def component_class(library: Any, name: Any, place: Path, pipeline: type[DiffusionPipeline]) -> type[Any]:
    """The class of a component: ["diffusers", "UNet2DConditionModel"], or of a package of diffusers.pipelines. One that
    diffusers has put away since (Stable Cascade's VQGAN) is where its pipeline has it."""
    moved = _own(pipeline, name)
    if moved is None and library not in ("diffusers", "transformers") and library not in folders():
        raise NexusError(
            f"'{place}' takes a component from '{library}' ({name}): only diffusers and transformers are trusted, and "
            "code that lies beside a checkpoint is never run. Name the components that you need: FOLDER#transformer."
        )
    if library == "transformers":
        found = _attribute(transformers, f"{name}Pil") or _attribute(transformers, name)
    elif library == "diffusers":
        found = _attribute(diffusers, name)
    elif library in folders():
        found = _attribute(importlib.import_module(f"diffusers.pipelines.{library}"), name)
    else:
        found = moved
    found = moved if found is None else found
    if not (isinstance(found, type) and issubclass(found, SAFE)):
        raise NexusError(f"'{place}' names {library}.{name}, which is no model, tokenizer, processor or scheduler.")
    return found


def _own(pipeline: type[DiffusionPipeline], name: Any) -> Any:
    """A class of diffusers that the module of a pipeline has imported; None for anything else."""
    found = _attribute(sys.modules[pipeline.__module__], name)
    return found if getattr(found, "__module__", "").startswith("diffusers.") else None


def _attribute(module: Any, name: Any) -> Any:
    """A public name of a module; None for what is no name, or needs a library that is not here."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        return None
    try:
        return getattr(module, name, None)
    except (ImportError, RuntimeError):
        return None
