"""A pipeline's folder: its components, each of a class that is known, and the pipeline made of them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin, SchedulerMixin
from nexus_specs import NexusError
from nexus_specs.installed import STOPS
from nexus_torch.hugging_face.configuration.reading import said
from nexus_torch.hugging_face.inputs.named import check_classes, without_models
from nexus_torch.hugging_face.text.vocabulary import check_tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from .catalogue import models
from .classes import component_class, pipeline_class
from .components import WEIGHTS, Diffusion, Prefixed
from .encoders import Encoder
from .folder import CONFIG, INDEX, dtype_of, read_json
from .limits import check_part
from .observing import DENOISERS
from .schedule import Schedule

UNUSED = frozenset({"safety_checker", "watermark", "watermarker"})
"""Components that judge or mark finished pictures: no part of a teacher."""
MOVING = "UNetMotionModel"
"""A U-Net that holds what lies beside it as an adapter too (AnimateDiff)."""


class PipelineFolder:
    """What a folder with a model_index.json holds."""

    def __init__(self, home: Path, *, vae: bool, weightless: bool = False) -> None:
        """`weightless`: its models may be described without their weights."""
        self.home, self.place, self.weightless = home, home / INDEX, weightless
        self.index = read_json(self.place)
        self.kind = pipeline_class(self.index, self.place)
        self._check_entries()
        self.entries = {
            name: (entry[0], entry[1]) for name, entry in self.index.items()
            if _is_component(entry) and name not in _unused(self.index) and (vae or name != "vae")
        }  # fmt: skip
        self.classes = {name: component_class(*entry, self.place, self.kind) for name, entry in self.entries.items()}
        self.absent = tuple(name for name in self.entries if not (home / name).is_dir())
        self._read: dict[str, Any] = {}

    def _check_entries(self) -> None:
        """NexusError for an entry that is neither a component, nor one that was left out, nor a setting."""
        for name, entry in self.index.items():
            spoken = name.isidentifier() and (self.home / name).is_dir()    # a folder is no setting
            if (spoken and not _is_entry(entry)) or (
                _is_entry(entry) and (not name.isidentifier() or len(entry) != 2 or entry.count(None) == 1)
            ):
                raise NexusError(
                    f"'{self.place}' has the entry {name!r}: {str(entry)[:80]}. A component is a name with two words, "
                    '["library", "Class"], in a folder of that name. Fetch it again.'
                )

    @cached_property
    def models(self) -> dict[str, Prefixed]:
        """Every model of the folder, encoders first, in the order in which the pipeline asks them."""
        found = {}
        for name in sorted(self.entries, key=_rank):
            kind = self.classes[name]
            if name not in self.absent and issubclass(kind, (ModelMixin, PreTrainedModel)):
                made = load(self.home / name, kind, weightless=self.weightless)
                found[name] = Prefixed(name, made)
        return found

    @cached_property
    def others(self) -> dict[str, Any]:
        """Scheduler, tokenizers and processors, read from their folders. NexusError for one that is not whole."""
        return {
            name: self.read(name) for name in self.entries
            if name not in self.absent and not issubclass(self.classes[name], (ModelMixin, PreTrainedModel))
        }  # fmt: skip

    def read(self, name: str) -> Any:
        """One of them."""
        if name not in self._read:
            self._read[name] = _read(self.home / name, self.classes[name])
        return self._read[name]

    def check_parts(self) -> None:
        """NexusError for what a scheduler or an extractor cannot be told; a bad tokenizer is one that is missing."""
        for name, kind in self.classes.items():
            if name in self.absent or issubclass(kind, (ModelMixin, PreTrainedModel, PreTrainedTokenizerBase)):
                continue
            _check_part(self.home / name)
            if issubclass(kind, SchedulerMixin):
                Schedule(self.read(name))

    @property
    def missing(self) -> tuple[str, ...]:
        """What the index names and the folder has not: components, and the weights of others."""
        lacks = [(name, each) for name, model in self.models.items() for each in model.model.missing]
        weights = (each.replace(WEIGHTS, f"weights of {name}/ (*.safetensors)", 1) if each == WEIGHTS
                   else f"{each} in {name}/" for name, each in lacks)  # fmt: skip
        return (*(f"{name}/" for name in self.absent), *weights, *self._unnamed)

    @property
    def _unnamed(self) -> tuple[str, ...]:
        """What the pipeline cannot be observed without, and the index does not name, or leaves out."""
        known = inspect.signature(self.kind.__init__).parameters
        needed = [name for name, each in known.items() if name != "self" and each.default is inspect.Parameter.empty
                  and name not in (*self.index, *self.kind._optional_components)]  # fmt: skip
        if not any(name in self.entries for name in DENOISERS) and not set(DENOISERS) & set(needed):
            needed.append(f"a denoiser ({', '.join(DENOISERS)})")
        if "scheduler" in known and "scheduler" not in (*self.entries, *needed):
            needed.append("scheduler")
        return tuple(f"{name} in {INDEX}" for name in needed)

    def pipeline(self, modules: Mapping[str, nn.Module]) -> DiffusionPipeline:
        """The pipeline, of these modules. NexusError where something that it needs is not here."""
        if self.absent:
            lacks = ", ".join(f"{name}/" for name in self.absent)
            without = " Or observe it without: FOLDER#vae=off." if self.absent == ("vae",) else ""
            raise NexusError(f"'{self.home}' lacks {lacks}, which {INDEX} names. Fetch what is missing.{without}")
        if not any(name in modules for name in DENOISERS):
            raise NexusError(f"'{self.place}' names no denoiser ({', '.join(DENOISERS)}): nothing is to be observed.")
        parameters = inspect.signature(self.kind.__init__).parameters
        settings = {name: value for name, value in self.index.items() if name in parameters and not _is_entry(value)}
        given = {**settings, **self.others, **modules}
        empty = {name: None for name, each in parameters.items()
                 if name != "self" and name not in given and each.default is inspect.Parameter.empty}  # fmt: skip
        if self._unnamed:
            raise NexusError(f"A {self.kind.__name__} needs {', '.join(self._unnamed)}, and '{self.home}' has none.")
        if "requires_safety_checker" in parameters:
            given["requires_safety_checker"] = False
        try:
            with warnings.catch_warnings():                 # what older folders set otherwise is set right there
                warnings.simplefilter("ignore")
                made = self.kind(**empty, **{name: each for name, each in given.items() if name in parameters})
        except Exception as error:                          # components can fail to fit in any way
            raise NexusError(f"diffusers cannot make a {self.kind.__name__} of '{self.home}': {error}") from error
        made.set_progress_bar_config(disable=True)
        return made

    @property
    def reads(self) -> bool:
        """Whether it has what makes embeddings of a text."""
        readers = (PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin)
        return any(issubclass(kind, readers) for kind in self.classes.values())

    @property
    def arguments(self) -> Mapping[str, inspect.Parameter]:
        """Arguments of the pipeline's call."""
        return inspect.signature(self.kind.__call__).parameters


def load(home: Path, kind: type[Any], *, weightless: bool = False) -> Diffusion | Encoder:
    """One model of a pipeline."""
    if not (home / CONFIG).is_file():
        raise NexusError(f"'{home}' has no {CONFIG}. Fetch it from where the weights are.")
    if not issubclass(kind, (PreTrainedModel, ConfigMixin)):
        several = sorted(each.parent.name for each in home.parent.glob(f"{home.name}*/{CONFIG}"))
        raise NexusError(
            f"'{home}' is a {kind.__name__}, several models ({', '.join(several)}) of which each takes a picture "
            f"of its own: that is not read. Leave one in {INDEX}, by its own class."
        )
    if issubclass(kind, PreTrainedModel):
        return Encoder(home, kind, weightless=weightless)
    _check_sort(home, kind)
    return Diffusion(home, weightless=weightless, dtype=dtype_of(home.parent), kind=kind)


def _check_sort(home: Path, kind: type[Any]) -> None:
    """NexusError where the index and the configuration of a model speak of different things, a VAE and a U-Net."""
    known, said = models(), str(read_json(home / CONFIG).get("_class_name"))
    if said in known and known.get(kind.__name__, known[said]) != known[said]:
        raise NexusError(
            f"'{home.parent / INDEX}' names the {home.name} a {kind.__name__}, and its {CONFIG} a {said}. Fetch both "
            "from one place."
        )


def scheduler_of(home: Path) -> SchedulerMixin | None:
    """The scheduler of the pipeline that a component lies in; None where there is none."""
    try:
        folder = PipelineFolder(home, vae=False)
    except NexusError:
        return None
    kind = folder.classes.get("scheduler")
    present = kind is not None and "scheduler" not in folder.absent
    return _read(home / "scheduler", kind) if kind and present else None


def _read(home: Path, kind: type[Any]) -> Any:
    _check_part(home)
    if issubclass(kind, PreTrainedTokenizerBase):
        check_tokenizer(home)
        _check_vocabulary(home, kind)
    more = {} if issubclass(kind, SchedulerMixin) else {"trust_remote_code": False}
    check_classes(home)
    kind = without_models(kind) if issubclass(kind, ProcessorMixin) else kind
    try:
        return kind.from_pretrained(str(home), local_files_only=True, **more)
    except (NexusError, *STOPS):
        raise
    except BaseException as error:                          # files of a tokenizer can be damaged in any way
        out = "Install that." if isinstance(error, ImportError) else "Fetch it again."
        raise NexusError(f"'{home}' is no {kind.__name__} that can be read here: {said(error)}. {out}") from error


def _check_vocabulary(home: Path, kind: type[PreTrainedTokenizerBase]) -> None:
    """NexusError where a tokenizer's files are not there: transformers makes one without words of that."""
    needed = {what: name for what, name in kind.vocab_files_names.items() if what in ("vocab_file", "merges_file")}
    lacks = sorted(name for name in needed.values() if not (home / name).is_file())
    if lacks and not (home / "tokenizer.json").is_file():
        raise NexusError(f"'{home}' has neither tokenizer.json nor {' and '.join(lacks)}. Fetch what is missing.")


def _check_part(home: Path) -> None:
    for place in sorted(home.glob("*config.json")):
        check_part(read_json(place), place)


def _unused(index: Mapping[str, Any]) -> frozenset[str]:
    """Components that are no part of a teacher; what is made of pictures for the safety checker alone is none too."""
    seen = _is_entry(index.get("safety_checker")) and not _is_component(index.get("image_encoder"))
    moving = index.get("unet") == ["diffusers", MOVING]
    return UNUSED | ({"feature_extractor"} if seen else set()) | ({"motion_adapter"} if moving else set())


def _is_entry(value: Any) -> bool:
    """Whether it speaks of a component; a list of numbers is a setting."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, (str, type(None))) for each in value)


def _is_component(value: Any) -> bool:
    """["library", "Class"]; [null, null] is a component that was left out."""
    return _is_entry(value) and len(value) == 2 and value != [None, None]


def _rank(name: str) -> tuple[int, str]:
    if name.startswith(("text_encoder", "image_encoder")):
        return int(name.startswith("image")), name
    return (4 if name in DENOISERS else 3 if "vae" in name else 2), name
