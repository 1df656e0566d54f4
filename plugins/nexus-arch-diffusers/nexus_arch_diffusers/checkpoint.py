"""Checkpoints of diffusers as the engine sees them: a whole pipeline, or one model."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Part, Sample, Shown, Signal
from nexus_torch.hugging_face.inputs.alive import LEAST
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from nexus_torch.text import tokenizer_hash
from nexus_torch.usual import usual
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .blueprint import model_blueprint, pipeline_blueprint
from .clocks import Clock
from .collate import PipelineCollate, seed
from .components import Diffusion, Prefixed
from .conditions import alone, apart
from .encoders import encoder_checkpoint, encoder_config
from .fields import ModelCollate
from .folder import dtype_of, has_weights
from .guidance import embeds
from .holding import holding, narrowing
from .observing import DENOISERS, PipelineModule
from .options import Options, check_taken
from .pipelines import PipelineFolder, scheduler_of
from .schedule import Schedule
from .seen import seen, shown
from .timed import at_timesteps

KEPT = (".json", ".txt", ".model", ".jinja")
"""Endings of files that say how inputs become tensors."""
LARGEST_KEPT = 64 << 20
GUIDES = re.compile("ControlNet|Adapter")
"""In the names of models that give maps of several sizes, each to be added to a state of another model."""


class PipelineCheckpoint:
    """Kind "checkpoint" of a whole pipeline."""

    def __init__(self, home: Path, options: Options, *, weightless: bool = False) -> None:
        """`weightless`: it may be described without weights."""
        self.home, self.options = home, options
        self.folder = PipelineFolder(home, vae=options.vae, weightless=weightless)
        own = ("timesteps", "count", "steps", "vae", *(("decode",) if "vae" in self.folder.entries else ()))
        check_taken(options, {*own, *self.folder.arguments}, f"'{home}', a {self.folder.kind.__name__},")
        self.models = self.folder.models
        self.parts = _merged(list(self.models.values()))
        self.blueprint = dataclasses.replace(
            pipeline_blueprint(self.folder, self.parts), seen=seen(self.folder, options)
        )
        self._collate: PipelineCollate | None = None
        if options.timesteps and (scheduler := scheduler_of(home)) is not None:
            Schedule(scheduler).check(options.timesteps, str(home))

    def skeleton(self) -> nn.Module:
        """The models under their names, on the meta device, and a forward that goes the pipeline's own way."""
        modules = {name: each.model.skeleton() for name, each in self.models.items()}
        pipeline, call = self.folder.pipeline(modules), self._collator.call(self.folder.kind, told=self._told)
        return PipelineModule(pipeline, modules, call, self._collator.chosen(), decode=self.options.decode).eval()

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by "component/key" -> the module's by full name."""
        return {name: tensor for each in self.models.values() for name, tensor in each.assemble(part, raw).items()}

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Prompts, pictures, embeddings, latents; seeds and timesteps."""
        return self._collator(samples)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Which samples can pass together."""
        return self._collator.groups(samples)

    def shown(self, samples: Sequence[Sample], paths: Sequence[str] = ()) -> Shown:
        """How large the largest of samples is, whether they come to the VAE, and what its own forward holds."""
        found, most = shown(self.folder, self.options, samples, self._collator.spread, paths)
        if self.blueprint.parameters < LEAST or not narrowing(self.blueprint.stacks):
            return found
        layers = {stack.path: stack.layers for stack in self.blueprint.stacks if stack.path not in found.unmet}
        beside = [each.path for each in self.blueprint.outside if each.path not in found.unmet]
        known = holding(self.skeleton(), self.collate([most]), layers, beside)
        return dataclasses.replace(found, held=known.most, waits=known.waits, behind=known.behind)

    def usual(self) -> tuple[Sample | None, str]:
        """A sample as it usually comes, and what that is in words; (None, "") for what nothing usual conditions."""
        return usual(self.blueprint.takes, self.blueprint.gives)

    def read(self, output: Any, batch: Batch) -> Signal:
        """"output" [B, S * ...] is the prediction, flat; "prediction", "noisy", "target" [B, S, ...]; "image"."""
        return Signal(outputs={"output": output["prediction"].flatten(1), **output})

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """A picture uint8 [H, W, 3] or a film uint8 [F, H, W, 3] for each sample, by the pipeline's own sampler."""
        if not isinstance(module, PipelineModule):
            raise NexusError("Pictures are made by the whole pipeline.")
        return [self._made(module, sample) for sample in samples]

    def save_preprocessor(self, folder: Path) -> None:
        """Copies the configurations and tokenizers, never weights."""
        _copy(self.home, folder)

    def _made(self, module: PipelineModule, sample: Sample) -> Any:
        batch = dict(self.collate([sample]))
        for name in ("seeds", "timesteps", "clean"):
            batch.pop(name, None)
        generator = torch.Generator("cpu").manual_seed(seed(sample))
        return module.sample(batch, generator, self.options.steps)

    @property
    def _collator(self) -> PipelineCollate:
        if self._collate is None:
            if "scheduler" not in self.folder.entries or "scheduler" in self.folder.absent:
                single = next((name for name in DENOISERS if name in self.models), "COMPONENT")
                raise NexusError(
                    f"'{self.home}' has no scheduler: its timesteps are not known. Observe one model of it: "
                    f"FOLDER#{single}."
                )
            spread = self.options.timesteps or Schedule(self.folder.read("scheduler")).spread(self.options.count)
            self._collate = PipelineCollate(
                self.folder.arguments, self.options, spread, self.home.name, reads=self.folder.reads,
                apart=apart(self.folder.kind), alone=alone(self.folder.kind), labelled=self._labelled,
            )
        return self._collate

    @property
    def _told(self) -> bool:
        """Whether a model of it is told the strength of guidance."""
        return any(embeds(each.model.config) for each in self.models.values())

    @property
    def _labelled(self) -> bool:
        """Whether its denoiser is told a class: diffusers would draw one, another at each call (consistency models)."""
        configs = (each.model.config for name, each in self.models.items() if name in DENOISERS)
        return any(isinstance(each, Mapping) and bool(each.get("num_class_embeds")) for each in configs)


class ModelCheckpoint:
    """Kind "checkpoint" of one model of diffusers: its own forward, samples that carry its arguments."""

    def __init__(
        self, home: Path, pipeline: Path | None, options: Options, *, weightless: bool = False,
        kind: type[Any] | None = None,
    ) -> None:  # fmt: skip
        """`weightless`: it may be described without weights; `kind`: the class that the pipeline's index names."""
        self.home = home
        self.model = Diffusion(home, weightless=weightless, dtype=dtype_of(pipeline) if pipeline else "", kind=kind)
        self.parts = tuple(self.model.parts)
        module = self.model.skeleton()
        self.blueprint = model_blueprint(module, self.model, self.parts)
        self.guides = bool(GUIDES.search(type(module).__name__))
        scheduler = scheduler_of(pipeline) if pipeline else None
        schedule = Schedule(scheduler) if scheduler is not None else None    # one has a length, and none
        clock = partial(_clock, pipeline, home.name, schedule, self.model.config) if pipeline and schedule else None
        self.collator = ModelCollate(module, home, schedule, options, clock)
        check_taken(options, ("timesteps", "count") if self.collator.time else (), f"'{home}' alone")

    def skeleton(self) -> nn.Module:
        """The module on the meta device; a denoiser takes several timesteps for each sample."""
        module = self.model.skeleton()
        return at_timesteps(module, self.collator.time, self.collator.main) if self.collator.time else module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""
        return self.model.assemble(part, raw)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Fields named as the forward's arguments; pictures and films for a VAE."""
        return self.collator(samples)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Which samples can pass together."""
        return self.collator.groups(samples)

    def read(self, output: Any, batch: Batch) -> Signal:
        """"output": the first of what the forward gives, flat; "prediction" in its own shape, [B, S, ...]. Of what
        guides another model (a ControlNet) it is all the maps that it gives, flat, one behind the other."""
        found = output if isinstance(output, Tensor) else output[0]
        if self.guides and (type(output) is list or isinstance(found, (list, tuple))):
            found = _maps(output)
        found = torch.stack(list(found)) if isinstance(found, (list, tuple)) else found
        if self.collator.time:
            found = found.unflatten(0, (len(batch[self.collator.main]), -1))
        outputs = {"output": found.flatten(1), "prediction": found}
        return Signal(outputs=outputs | getattr(batch, "side", {}).get("outputs", {}))

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """What the forward gives for each sample, as it stands."""
        return list(self.read(module(**self.collate(samples)), self.collate(samples)).outputs["prediction"])

    def save_preprocessor(self, folder: Path) -> None:
        """Copies the configuration."""
        _copy(self.home, folder)


def component_checkpoint(
    home: Path, pipeline: Path, options: Options, *, weightless: bool = False
) -> ModelCheckpoint | HuggingFaceCheckpoint:
    """One component of a pipeline: a model of diffusers, or an encoder with the pipeline's tokenizer or processor."""
    folder = PipelineFolder(pipeline, vae=True)
    if not issubclass(folder.classes.get(home.name, nn.Module), PreTrainedModel):
        return ModelCheckpoint(home, pipeline, options, weightless=weightless, kind=folder.classes.get(home.name))
    check_taken(options, (), f"'{home}' alone")
    kind = folder.classes[home.name]
    gone = weightless and not has_weights(home)
    checkpoint = encoder_checkpoint(home, encoder_config(home, kind), kind, weightless=gone)
    number = home.name.removeprefix("text_encoder") if home.name.startswith("text_encoder") else ""
    name = "feature_extractor" if home.name == "image_encoder" else f"tokenizer{number}"
    if not (pipeline / name).is_dir():
        return checkpoint
    checkpoint.preprocessor.home = pipeline / name
    words = folder.read(name) if name in folder.entries else None
    known = tokenizer_hash(words) if isinstance(words, PreTrainedTokenizerBase) else ""
    own = tuple(each for each in checkpoint.blueprint.missing if each.startswith("weights"))
    checkpoint.blueprint = dataclasses.replace(checkpoint.blueprint, tokenizer=known, missing=own)
    return checkpoint


def _clock(pipeline: Path, component: str, schedule: Schedule, config: Mapping[str, Any], argument: str) -> Clock:
    folder = PipelineFolder(pipeline, vae=False)
    return Clock(folder.kind, component, argument, schedule, folder.index, config)


def _maps(output: Any) -> Tensor:
    """Every tensor in an output, however deep, of the shape [N, ...] each -> [N, all of them]."""

    def inside(value: Any) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value.flatten(1)] if value.ndim > 1 else []
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        return [each for item in items for each in inside(item)]

    return torch.cat(inside(output), 1)


def _merged(models: Sequence[Prefixed]) -> tuple[Part, ...]:
    """One part for what belongs to no layer of any model, then all layers; the VAE's decoder comes last."""
    rest = tuple(extent for model in models for part in model.parts if not part.path for extent in part.extents)
    layers = [part for model in models for part in model.parts if part.path]
    return (Part(path="", extents=rest), *sorted(layers, key=lambda part: part.path.startswith("vae.decoder")))


def _copy(home: Path, target: Path) -> None:
    for file in (*home.glob("*"), *home.glob("*/*")):
        if file.is_file() and file.suffix in KEPT and file.stat().st_size < LARGEST_KEPT and ".index." not in file.name:
            place = target / file.relative_to(home)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
