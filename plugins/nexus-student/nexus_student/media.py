"""Images, sounds and films from files, as samples hold them. What reads them is imported when it is first needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError
from nexus_specs.caching import expanded
from nexus_torch.upright import upright
from numpy.typing import NDArray

LARGEST = 1 << 30
"""Bytes of a sound or film once it is decoded: what is longer is not read."""


def read_media(image: str = "", audio: str = "", video: str = "") -> dict[str, Any]:
    """The fields of a sample: "image" uint8 [H, W, 3], "audio" float32 [N] with "rate", "video" uint8 [T, H, W, 3]."""
    fields: dict[str, Any] = {}
    if image:
        fields["image"] = _read(image, "an image", read_image)
    if audio:
        fields["audio"], fields["rate"] = _read(audio, "a sound", read_audio)
    if video:
        fields["video"] = _read(video, "a film", read_video)
    return fields


def _read(name: str, what: str, reader: Any) -> Any:
    path = expanded(name)
    if not path.is_file():
        raise NexusError(f"There is no file '{name}'.")
    try:
        return reader(path)
    except Exception as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
        raise NexusError(f"'{name}' does not open as {what}: {said}.") from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], the right way up."""
    from PIL import Image

    with Image.open(path) as image:
        return np.array(upright(image).convert("RGB"))


def read_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """float32 [N], the mean of all channels, and the rate."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        if 4 * file.frames * file.channels > LARGEST:
            raise ValueError(f"it is too long ({file.frames / file.samplerate / 3600:.1f} hours). Cut out a part of it")
        waves = file.read(dtype="float32", always_2d=True)
        if not len(waves):
            raise ValueError("it holds no sound")
        return waves.mean(1), int(file.samplerate)


def read_video(path: Path) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3]; of .npy files the array itself."""
    if path.suffix == ".npy":
        return _film(np.load(path, allow_pickle=False, mmap_mode="r"))
    import av

    frames, size = [], 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            size += frames[-1].nbytes
            if size > LARGEST:
                raise ValueError(f"its first {len(frames)} pictures take 1 GB. Cut out a part, or make it smaller")
    if not frames:
        raise ValueError("it has no frames")
    return np.stack(frames)


def _film(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise ValueError(f"an array of {array.dtype} {list(array.shape)} is none; save uint8 [T, H, W, 3]")
    if array.nbytes > LARGEST:
        raise ValueError("it takes more than 1 GB. Cut out a part of it, or make it smaller")
    return np.array(array)
