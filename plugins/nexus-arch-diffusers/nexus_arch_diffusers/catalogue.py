"""diffusers' own lists of models and pipelines, read from its source: no import of diffusers or torch."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("models.json")
MODELS = {"transformers": "transformer", "unets": "U-Net", "autoencoders": "VAE", "controlnets": "controlnet"}
"""Folders of diffusers/models, and what lies in them."""
MEDIA = {"Video": "video", "Image2Video": "video", "Audio": "audio", "Music": "audio", "Speech": "audio"}
"""Words in the name of a class that say what it makes; a picture where none does."""
FILMS = (
    "AnimateDiff", "Allegro", "AnyFlow", "ChronoEdit", "CogVideoX", "ConsisID", "Cosmos", "EasyAnimate", "Helios",
    "HunyuanSkyreels", "I2V", "LTX", "Latte", "Lucy", "Mochi", "Motion", "PIA", "SanaWM", "SkyReels", "SpatioTemporal",
    "T2V", "TemporalDecoder", "3D", "Wan",
)  # fmt: skip
PICTURES = ("TextToImage", "T2I", "I2I", "LDM3D")
"""Words in the name of what makes pictures, whatever else its name says (Cosmos)."""
OWN = frozenset({
    "add_embedding.linear_1.weight", "down_blocks.1.attentions.0.norm.weight",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k.weight",
    "transformer_blocks.27.scale_shift_table", "controlnet_cond_embedding.conv_in.weight",
})  # fmt: skip
"""Keys that diffusers' own models have too."""
SOUNDS = (
    "AceStep", "DanceDiffusion", "LTX2Audio", "LTX2Vocoder", "LongCatAudio", "MMAudio", "Oobleck", "StableAudio",
    "SpectrogramDiffusion",
)  # fmt: skip

SHOWN = (
    "Adapter", "ControlNet", "Edit", "Fill", "I2VGen", "ImageToVideo", "ImageVariation", "2Img", "Inpaint", "Pix2Pix",
    "Refiner", "SuperRes", "Upscale", "VideoToVideo",
)  # fmt: skip
"""Words in the name of a pipeline that begins with a picture or film, whatever the defaults of its call say."""


def rows() -> list[dict[str, Any]]:
    """One row for each model and each pipeline: name, what it is, what it takes and gives, and whether it streams
    ("verified" where the committed table of `benchmarks/diffusers_models.py` says that it agreed and streamed)."""
    known = results()
    sorts = {**models(), **dict.fromkeys(pipelines(), "pipeline")}
    return [
        {
            "name": name,
            "loader": "diffusers",
            "modalities": _modalities(name, sort),
            "heads": [name],
            "generates": sort != "VAE",
            "streams": "verified" if known.get(name, {}).get("streamed") else "untested",
            "reason": known.get(name, {}).get("reason", ""),
            "sort": sort,
        }
        for name, sort in sorted(sorts.items())
    ]


@cache
def results() -> dict[str, dict[str, Any]]:
    """What the benchmark found of each class, by name; {} where the table is not there."""
    try:
        rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {row["class"]: row for row in rows}


@cache
def models() -> dict[str, str]:
    """Class -> what it is ("transformer"), for every model that diffusers exports."""
    found = {}
    for module, names in _structure(Path("models") / "__init__.py"):
        kind = MODELS.get(module.partition(".")[0])
        found |= {name: kind for name in names if kind and name in _exported()}
    return found


@cache
def pipelines() -> frozenset[str]:
    """Every pipeline that diffusers exports."""
    return frozenset(
        name for name in _exported()
        if name.endswith("Pipeline") and not name.startswith(("Onnx", "Flax", "AutoPipeline", "DiffusionPipeline"))
        and not name.endswith("ModularPipeline")
    )  # fmt: skip


@cache
def folders() -> frozenset[str]:
    """The sub-packages of diffusers.pipelines: a model index may name one in place of a library."""
    home = _home()
    return frozenset(each.name for each in (home / "pipelines").iterdir() if each.is_dir()) if home else frozenset()


@cache
def single_keys() -> frozenset[str]:
    """Keys by which diffusers tells what a single file holds; those of its own layout, which need a config.json beside
    them, are none."""
    home = _home()
    if home is None:
        return frozenset()
    for node in ast.parse((home / "loaders" / "single_file_utils.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CHECKPOINT_KEY_NAMES":
            found = ast.literal_eval(node.value).values()
            return frozenset(key for each in found for key in ([each] if isinstance(each, str) else each)) - OWN
    return frozenset()


@cache
def _exported() -> frozenset[str]:
    return frozenset(name for _, names in _structure(Path("__init__.py")) for name in names)


def _structure(inner: Path) -> Iterator[tuple[str, list[str]]]:
    """Every entry of `_import_structure` in a file: (module, names). Lists of literals alone are read."""
    home = _home()
    if home is None:
        return
    for node in ast.walk(ast.parse((home / inner).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and (module := _module(node.targets[0])):
            yield module, _words(node.value)
        elif isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict):
            entries = zip(node.value.keys, node.value.values, strict=True)
            yield from ((str(key.value), _words(value)) for key, value in entries if isinstance(key, ast.Constant))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("extend", "append")
            and node.args
            and (module := _module(node.func.value))
        ):
            yield module, _words(node.args[0])


def _module(node: ast.expr) -> str:
    """The module in `_import_structure["module"]`; "" for anything else."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "_import_structure":
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    return ""


def _words(node: ast.expr) -> list[str]:
    nodes = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _modalities(name: str, kind: str) -> list[str]:
    return [made(name)] if kind == "VAE" else ["text", made(name)]


def made(name: str) -> str:
    """What a class makes, by its name: "image", "video" or "audio".

    >>> made("Kandinsky5T2VPipeline"), made("Cosmos2TextToImagePipeline")
    ('video', 'image')

    >>> made("StableVideoDiffusionPipeline"), made("FluxTransformer2DModel"), made("AutoencoderOobleck")
    ('video', 'image', 'audio')
    """
    if any(word in name for word in PICTURES):
        return "image"
    said = "audio" if any(word in name for word in SOUNDS) else "video" if any(word in name for word in FILMS) else ""
    return said or next((medium for word, medium in MEDIA.items() if word in name), "image")


def pictured(name: str) -> bool:
    """Whether a pipeline must be given the picture or film that its call has a place for, by its name.

    >>> pictured("LTXImageToVideoPipeline"), pictured("FluxKontextPipeline")
    (True, False)
    """
    return any(word in name for word in SHOWN)


def _home() -> Path | None:
    spec = importlib.util.find_spec("diffusers")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
