"""Files and bytes of media to arrays. Libraries are imported when they are first needed."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stored = bytes | str | Path


def image(stored: Stored) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]."""
    from PIL import Image

    with Image.open(_opened(stored)) as found:
        return np.array(found.convert("RGB"))


def audio(stored: Stored, rate: int = 0) -> tuple[NDArray[np.float32], int]:
    """One channel, float32 [N], and its samples a second: `rate`, or those of the file."""
    import soundfile

    try:
        sound, found = soundfile.read(_opened(stored), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"is no sound that can be read ({error})") from error
    mono = sound.mean(1, dtype=np.float32)
    return resampled(mono, found, rate or found), rate or found


def video(stored: Stored, frames: int = 0) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3]; `frames` of them, evenly spread, or all."""
    import av

    try:
        with av.open(_opened(stored)) as container:
            found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"is no video that can be read ({error})") from error
    if not found:
        raise ValueError("holds no frame")
    kept = np.linspace(0, len(found) - 1, frames).round().astype(int) if frames else range(len(found))
    return np.stack([found[at] for at in kept])


def resampled(sound: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """At another rate: the spectrum cut off or filled up with zeros (exact for what is below both limits)."""
    if rate == wanted or not len(sound):
        return sound
    count = max(1, round(len(sound) * wanted / rate))
    spectrum = np.fft.rfft(sound.astype(np.float64))
    kept = np.zeros(count // 2 + 1, complex)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, count) * count / len(sound)).astype(np.float32)


def _opened(stored: Any) -> Any:
    if isinstance(stored, bytes):
        return BytesIO(stored)
    if isinstance(stored, (str, Path)):
        return str(stored)
    raise ValueError(f"holds {type(stored).__name__} where bytes or a path are expected")
