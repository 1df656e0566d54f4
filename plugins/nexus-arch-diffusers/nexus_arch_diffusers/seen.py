"""How large the largest state of one sample is in a pipeline's denoiser: what its memory is predicted from.

A transformer has positions (patches of the latents, and the words of a prompt beside them) of a width, a U-Net the map
that comes up to its last block; both for every timestep at which a sample is seen, which pass together.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nexus_specs import Sample, Shown, standing_out

from .collate import MEDIA, timesteps
from .observing import DENOISERS
from .options import Options
from .pipelines import PipelineFolder

WORDS, SHRINKING, LASTING = 256, 8, 4
"""Tokens of a prompt, pixels for each latent along a side, and frames for each latent one, where nothing says so."""
DRAWN = 128
"""Latents along a side that pipelines draw whose denoiser has a configuration for any size (FLUX.1, Qwen-Image)."""
AREA = "max_area"
"""What a call names that draws about as many pixels, whatever else is asked for."""
PACKED = 2
"""Latents along a side that a pipeline packs into one token."""


def shown(folder: PipelineFolder, options: Options, samples: Sequence[Sample], spread: Sequence[float],
          paths: Sequence[str]) -> tuple[Shown, Sample]:  # fmt: skip
    """What of a pipeline these samples come to, as large as the largest of them, and which that is; `paths`: modules
    that are looked at."""
    most = range(max(len(timesteps(each, spread)) for each in samples))
    found = [(seen(folder, _told(folder, options, each), most), each) for each in standing_out(samples)]
    largest, one = max(found, key=lambda each: (each[0], len(each[1].fields)))
    pictured = any(each.fields.get(medium) is not None for each in samples for medium in MEDIA)
    away = [*(["encoder"] if not pictured else []), *(["decoder"] if not options.decode else [])]
    return Shown(seen=largest, unmet=tuple(
        stack.path for stack in (folder.models["vae"].stacks if "vae" in folder.models else ())
        if stack.path.split(".")[1] in away and not any(f"{path}.".startswith("vae.") for path in paths)
    )), one  # fmt: skip


def _told(folder: PipelineFolder, options: Options, sample: Sample) -> Options:
    """The options with the sizes of a sample's picture, film or latents, where the source says none."""
    given = {name: sample.fields[name] for name in (*MEDIA, "latents") if sample.fields.get(name) is not None}
    high = [each.shape[-3:-1] for name, each in given.items() if name != "latents"]
    if (latents := given.get("latents")) is not None and len(latents.shape) > 2:
        high.append([side * _shrinking(folder) for side in latents.shape[-2:]])
    if area := _default(folder, AREA):                      # a picture beside it is made as large (FLUX Kontext)
        return replace(options, height=math.isqrt(area) * (1 + bool(high)), width=math.isqrt(area))
    if not high:
        return options
    height, width = (int(max(side[at] for side in high)) for at in (0, 1))
    frames = len(given["video"]) if "video" in given else 0
    return replace(options, height=options.height or height, width=options.width or width,
                   num_frames=options.num_frames or frames)  # fmt: skip


def seen(folder: PipelineFolder, options: Options, moments: Sequence[Any] = ()) -> int:
    """Values for one sample; 0 where no configuration says how large its latents are. `moments`: the timesteps at which
    it is seen, where those are known."""
    models = folder.models
    if (area := _default(folder, AREA)) > options.height * options.width:
        options = replace(options, height=math.isqrt(area), width=math.isqrt(area))
    name = next((name for name in DENOISERS if name in models), "")
    if not name:
        return 0
    config = models[name].model.config
    if not isinstance(config, Mapping) or not (sides := _sides(folder, config, options)):
        return 0
    places = max(1, sides[0]) * max(1, sides[1]) * _frames(folder, config, options)
    times = len(moments) or len(options.timesteps) or options.count
    if channels := _numbers(config.get("block_out_channels")):
        return max(channels[:2]) * places * times           # what comes up to the last block, as wide as the one below
    patch = _numbers(config.get("patch_size")) or (1,)
    along = PACKED if patch[-1] == 1 and hasattr(folder.kind, "_pack_latents") else patch[-1]
    words = int(options.call.get("max_sequence_length") or _default(folder, "max_sequence_length") or WORDS)
    width = max((0, *(each for stack in models[name].stacks for each in stack.widths)))
    return (places // along**2 + words) * width * times


def _default(folder: PipelineFolder, name: str) -> int:
    """What the pipeline's call takes where nobody says another number; 0 where it says none."""
    found = folder.arguments[name].default if name in folder.arguments else None
    return found if type(found) is int else 0


def _sides(folder: PipelineFolder, config: Mapping[str, Any], options: Options) -> Sequence[int]:
    """Height and width of the latents: as asked for, else as the pipeline or the denoiser has them."""
    needed = "image" in folder.arguments and folder.arguments["image"].default is inspect.Parameter.empty
    if needed and not (options.height and options.width):
        return ()                                           # the size of its pictures, which nobody knows here
    default = {side: folder.arguments[side].default for side in ("height", "width") if side in folder.arguments}
    asked = [getattr(options, side) or default.get(side) for side in ("height", "width")]
    if all(type(each) is int for each in asked):
        shrinking = _shrinking(folder)
        return [each // shrinking for each in asked if isinstance(each, int)]
    said = _numbers(config.get("sample_size"))
    said = said or (*_numbers(config.get("sample_height")), *_numbers(config.get("sample_width")))
    if not said and default:                                # which the call makes of nothing
        said = (_drawn(folder),)
    return said[-2:] if len(said) > 1 else said * 2


def _drawn(folder: PipelineFolder) -> int:
    """Latents along a side that a pipeline draws by its own code, which counts them in those of a VAE that says how
    much it shrinks (HunyuanImage)."""
    found = re.search(r"self\.default_sample_size = (\d+)", inspect.getsource(folder.kind.__init__))
    return int(found[1]) if found and _shrunk(_vae(folder)) else DRAWN


def _vae(folder: PipelineFolder) -> Mapping[str, Any]:
    config = folder.models["vae"].model.config if "vae" in folder.models else {}
    return config if isinstance(config, Mapping) else {}


def _shrunk(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Pixels for each latent along a side, where a VAE's configuration says it."""
    return _numbers(config.get("scale_factor_spatial")) or _numbers(config.get("spatial_compression_ratio"))


def _shrinking(folder: PipelineFolder) -> int:
    """Pixels for each latent along a side."""
    config = _vae(folder)
    said = _shrunk(config)
    steps = len(_numbers(config.get("block_out_channels")))
    return max(1, said[0] if said else 2 ** (steps - 1) if steps else SHRINKING)


def _frames(folder: PipelineFolder, config: Mapping[str, Any], options: Options) -> int:
    """Frames of the latents; 1 of a picture."""
    if "num_frames" not in folder.arguments:
        return 1
    own = _numbers(config.get("num_frames")) or _numbers(config.get("sample_frames"))
    count = options.num_frames or _default(folder, "num_frames") or (own[0] if own else 1)
    if config.get("block_out_channels"):                    # a U-Net of films has every frame
        return count
    return (count - 1) // LASTING + 1


def _numbers(value: Any) -> tuple[int, ...]:
    """A number, or several, as numbers; () for anything else."""
    several = value if isinstance(value, (list, tuple)) else (value,)
    right = all(isinstance(each, int) and not isinstance(each, bool) for each in several)
    return tuple(several) if right and value is not None and value is not inspect.Parameter.empty else ()
