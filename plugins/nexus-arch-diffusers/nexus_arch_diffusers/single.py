"""Files that are no folder: whole pipelines or denoisers in one, as A1111 and ComfyUI keep them, and LoRAs of a
pipeline. Both are told from their header, and diffusers makes a folder of them; its commands are what is said here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace

from nexus_specs import NexusError
from nexus_torch.hugging_face.header import file_extents

from .catalogue import single_keys

LORA = re.compile(
    r"^lora_(unet|te\d?|transformer)_"
    r"|^(unet|transformer\w*|prior|diffusion_model|text_encoder\w*)\..*([._]lora\.|\.lora_(A|B|up|down)\b)"
)
"""In the keys of products that are added to weights, as diffusers, kohya and ComfyUI write them."""
WHOLE = ("first_stage_model.", "vae.")
"""How the keys of a VAE begin in a file that holds a whole pipeline."""
PARTS = ("controlnet", "animatediff", "autoencoder")
"""In diffusers' words for what is one model, and no pipeline."""
MOST = 8
"""Files of a folder that are looked at."""


def words(place: Path) -> str:
    """What to make of such a file, or of a folder of nothing else; "" for anything else."""
    found = _found(place)
    return "" if found is None else _lora(found[0]) if found[2] else _whole(*found[:2])


def is_single(place: Path) -> bool:
    """Whether there is something to say."""
    return _found(place) is not None


def _found(place: Path) -> tuple[Path, dict[str, tuple[int, ...]], bool] | None:
    """The file, shapes by key, and whether it is a LoRA."""
    files = [place] if place.is_file() else sorted(place.glob("*.safetensors"))[:MOST] if place.is_dir() else []
    for file in files:
        if file.suffix != ".safetensors":
            continue
        try:
            shapes = {extent.key: extent.shape for extent in file_extents(str(file))}
        except NexusError:
            continue                                        # a damaged one is somebody else's to name
        if (lora := any(map(LORA.search, shapes))) or single_keys() & shapes.keys():
            return file, shapes, lora
    return None


def _lora(file: Path) -> str:
    return (
        f"'{file}' is a LoRA of a Diffusers pipeline, and no model: it is read on top of its base, once they are one. "
        f"Make them one, in a folder of its own, and name that:\n  {_python(_fused(file))}"
    )


def _fused(file: Path) -> Iterable[str]:
    yield "import diffusers as d"
    yield 'p = d.DiffusionPipeline.from_pretrained("BASE")'
    yield f"p.load_lora_weights({_quoted(file)})"
    yield "p.fuse_lora(); p.unload_lora_weights()"
    yield f"p.save_pretrained({_quoted(file.with_suffix(''))})"


def _whole(file: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    # torch: what is said here is the last thing that is done
    from diffusers.loaders.single_file_utils import DIFFUSERS_DEFAULT_PIPELINE_PATHS, infer_diffusers_model_type

    known = {key: SimpleNamespace(shape=shape) for key, shape in shapes.items()}
    kind = infer_diffusers_model_type(known)
    said = DIFFUSERS_DEFAULT_PIPELINE_PATHS[kind]
    repository, inner = said["pretrained_model_name_or_path"], said.get("subfolder", "")
    return (
        f"'{file}' is one file, as A1111 and ComfyUI keep a model; by its keys it is what diffusers calls '{kind}', of "
        f"the make of {repository}. Folders are read: name that one, or make one of this file, and name "
        f"{file.with_suffix('')}:\n  {_python(_converted(file, shapes, kind, repository, inner))}"
    )


def _converted(file: Path, keys: Collection[str], kind: str, repository: str, inner: str) -> Iterable[str]:
    """diffusers' own conversion, with the classes that the repository names."""
    source, target, of = _quoted(file), _quoted(file.with_suffix("")), _quoted(repository)
    yield "import diffusers as d"
    if any(word in kind for word in PARTS) or inner:
        yield f"c = d.ModelMixin.load_config({of}{f', subfolder={_quoted(inner)}' if inner else ''})"
        yield f'getattr(d, c["_class_name"]).from_single_file({source}).save_pretrained({target})'
        return
    yield f"c = d.DiffusionPipeline.load_config({of})"
    if any(key.startswith(WHOLE) for key in keys):
        yield f'getattr(d, c["_class_name"]).from_single_file({source}).save_pretrained({target})'
        return
    yield 'n = "transformer" if "transformer" in c else "unet"'
    yield f"m = getattr(d, c[n][1]).from_single_file({source}, config={of}, subfolder=n)"
    yield f"d.DiffusionPipeline.from_pretrained({of}, **{{n: m}}).save_pretrained({target})"


def _quoted(value: Path | str) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _python(lines: Iterable[str]) -> str:
    return f"python -c {shlex.quote('; '.join(lines))}"
