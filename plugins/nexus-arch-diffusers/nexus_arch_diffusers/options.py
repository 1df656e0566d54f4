"""What a source may say beside its folder: FOLDER, FOLDER#transformer, FOLDER#transformer&timesteps=100,500."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_specs import NexusError

TIMESTEPS = 3
"""How many timesteps a sample is seen at, unless the source or the sample says which."""
MOST_TIMESTEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a diffusion teacher is observed. 0: what the pipeline itself would choose."""

    timesteps: tuple[float, ...] = ()
    """In the scheduler's own unit (0 to 1000 as a rule); empty: a few, spread over its range."""
    count: int = TIMESTEPS
    """How many, where `timesteps` is empty."""
    height: int = 0
    width: int = 0
    """Of the picture, in pixels."""
    num_frames: int = 0
    """Of the film."""
    steps: int = 20
    """Of the sampler, when it generates."""
    vae: bool = True
    """Whether the VAE belongs to the teacher; without it, pictures come as latents."""
    decode: bool = False
    """Whether a picture is always made of what is predicted ("image", "video"), not only where a layer of the VAE's
    decoder is looked at."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the pipeline's own call: max_sequence_length, fps, motion_bucket_id, audio_length_in_s, ..."""


CALL: Mapping[str, Callable[[str], Any]] = {
    "max_sequence_length": int, "clip_skip": int, "fps": int, "frame_rate": float, "motion_bucket_id": int,
    "noise_aug_strength": float, "guidance_scale": float, "audio_length_in_s": float, "audio_end_in_s": float,
    "video_length": int,
}  # fmt: skip
"""Arguments of a pipeline's call that a source may set."""


def split(source: str) -> tuple[str, str, Options]:
    """The folder, the component ("" for all of it) and the options that a source names.

    >>> folder, component, options = split("sd3#transformer&timesteps=100,500&height=64")
    >>> folder, component, options.timesteps, options.height
    ('sd3', 'transformer', (100.0, 500.0), 64)
    """
    folder, _, fragment = source.partition("#")
    component, chosen, call = "", {}, {}
    for word in filter(None, fragment.split("&")):
        name, said, value = word.partition("=")
        if not said:
            component = name
        elif name in CALL:
            call[name] = _value(source, name, value, CALL[name])
        else:
            chosen[name] = _value(source, name, value, _reader(source, name))
    return folder, component, Options(**chosen, call=call)


def check_taken(options: Options, taken: Collection[str], who: str) -> None:
    """NexusError for an option that was set, and of which nothing would come."""
    none = Options()
    own = [each.name for each in dataclasses.fields(Options) if each.name != "call"]
    chosen = [name for name in own if getattr(options, name) != getattr(none, name)]
    if wrong := [name for name in (*chosen, *options.call) if name not in taken]:
        known = ", ".join(name for name in names() if name in taken)
        raise NexusError(f"{who} has no use for '{wrong[0]}'. After '#' it takes: {known or 'nothing'}.")


def _reader(source: str, name: str) -> Callable[[str], Any]:
    readers: Mapping[str, Callable[[str], Any]] = {
        "timesteps": _timesteps, "count": _count, "height": _pixels, "width": _pixels, "num_frames": _pixels,
        "steps": _count, "vae": _switch, "decode": _switch,
    }  # fmt: skip
    if name not in readers:
        known = ", ".join(sorted({*readers, *CALL}))
        raise NexusError(f"'{source}' sets '{name}', which this loader does not know. After '#' it knows: {known}.")
    return readers[name]


def _value(source: str, name: str, text: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text)
    except ValueError as error:
        raise NexusError(f"'{source}' sets {name}={text}: {error}. An example: FOLDER#timesteps=100,500.") from error


def _timesteps(text: str) -> tuple[float, ...]:
    found = tuple(float(each) for each in text.split(","))
    if not 0 < len(found) <= MOST_TIMESTEPS or not all(abs(each) < 1e6 for each in found):
        raise ValueError(f"at most {MOST_TIMESTEPS} timesteps of less than 1e6 are allowed")
    return found


def _count(text: str) -> int:
    return _within(text, MOST_TIMESTEPS)


def _pixels(text: str) -> int:
    return _within(text, 1 << 14)


def _within(text: str, most: int) -> int:
    if not 0 < int(text) <= most:
        raise ValueError(f"a number from 1 to {most} is expected")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("on or off is expected")
    return text == "on"


def names() -> tuple[str, ...]:
    """What may stand after '#', beside a component."""
    return (*(each.name for each in dataclasses.fields(Options) if each.name != "call"), *CALL)
