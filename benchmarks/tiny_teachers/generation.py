"""Images and films from text: pipelines as diffusers saves them; the denoiser is compared with diffusers' own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from .parts import sample
from .tiny import Tiny

TESTS = Path(__file__).parents[2] / "plugins" / "nexus-arch-diffusers" / "tests"


def _pipeline(name: str, folder: Path) -> Any:
    """One of the tiny pipelines with which the loader itself is tested."""
    sys.path.insert(0, str(TESTS))
    try:
        from diffusers_files.pipelines import save
    finally:
        sys.path.remove(str(TESTS))
    return save(name, folder)


def sd3(folder: Path) -> nn.Module:
    """Diffusion transformer, three text encoders, VAE, scheduler."""
    return Steps(_pipeline("sd3", folder).transformer.eval())


def svd(folder: Path) -> nn.Module:
    """U-Net over space and time, image encoder, VAE, scheduler."""
    return Steps(_pipeline("svd", folder).unet.eval())


class Steps(nn.Module):
    """The reference: samples and their timesteps as rows of one batch."""

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        for name, module in denoiser.named_children():
            self.add_module(name, module)
        self.run = denoiser.forward

    def forward(self, **arguments: Any) -> Any:
        """What is denoised and its timesteps [B, S, ...], conditions [B, ...] -> the prediction [B * S, ...]."""
        return self.run(
            **{
                name: value.flatten(0, 1) if name in ("hidden_states", "sample", "timestep") else value
                for name, value in arguments.items()
            }
        )


def _arrays(**shapes: tuple[int, ...]) -> list[Any]:
    generator = np.random.default_rng(0)
    rows = []
    for step in (900.0, 300.0):
        row = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        rows.append(sample(timestep=step, **row))
    return rows


ROWS = (
    Tiny(name="stable-diffusion-3-medium", stands_for="stabilityai/stable-diffusion-3-medium-diffusers", build=sd3,
         inner="#transformer", needs="diffusers", last=True,
         samples=lambda: _arrays(hidden_states=(4, 8, 8), encoder_hidden_states=(12, 64), pooled_projections=(64,)),
         checked="a saved pipeline, sharded; the diffusion transformer at two timesteps",
         absent="what runs the pipeline's text encoders and VAE is compared in nexus-arch-diffusers' own tests"),
    Tiny(name="svd-xt-1-1", stands_for="stabilityai/stable-video-diffusion-img2vid-xt-1-1", build=svd, inner="#unet",
         needs="diffusers",
         samples=lambda: _arrays(sample=(3, 8, 8, 8), encoder_hidden_states=(1, 32), added_time_ids=(3,)),
         checked="a saved pipeline; the U-Net at two timesteps, stage by stage",
         absent="what runs the image encoder and VAE is compared in nexus-arch-diffusers' own tests"),
)  # fmt: skip
