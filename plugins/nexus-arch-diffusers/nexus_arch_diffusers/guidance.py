"""Asking a pipeline for one prediction for each sample, over the whole way from noise: no classifier-free guidance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

SCALE, DISTILLED = "guidance_scale", "distilled"
"""How the arguments of a call end that set the strength of guidance, and how one begins that a model is told."""
OFF: Mapping[str, Any] = {
    "true_cfg_scale": 1.0, "pag_scale": 0.0, "sag_scale": 0.0, "stg_scale": 0.0, "audio_stg_scale": 0.0,
    "modality_scale": 1.0, "audio_modality_scale": 1.0, "strength": 1.0,
}  # fmt: skip
"""Other guidance; and pictures that are begun with (`strength`), noised as far as a timestep says."""


def unguided(kind: type[Any], arguments: Iterable[str], *, told: bool) -> dict[str, Any]:
    """What a pipeline's call is given. Models that are told the strength of guidance as an input (`told`) are told the
    pipeline's own."""
    known = tuple(arguments)
    scales = [name for name in known if name.endswith(SCALE) and not name.startswith(DISTILLED)]
    chosen = dict.fromkeys(scales, _off(kind)) | {name: value for name, value in OFF.items() if name in known}
    if told:
        chosen.pop(SCALE, None)
    return chosen


def embeds(config: Any) -> bool:
    """Whether a denoiser's configuration says that it is told the strength of guidance (FLUX.1-dev, LCM)."""
    return isinstance(config, Mapping) and bool(config.get("guidance_embeds") or config.get("time_cond_proj_dim"))


def _off(kind: type[Any]) -> float:
    """The strength that is no guidance: 1, or 0 where the pipeline guides at every other (Z-Image, Krea 2)."""
    asked = getattr(getattr(kind, "do_classifier_free_guidance", None), "fget", None)
    try:
        return 0.0 if asked is not None and asked(SimpleNamespace(_guidance_scale=1.0)) else 1.0
    except AttributeError:                                  # it asks more than the strength
        return 1.0
