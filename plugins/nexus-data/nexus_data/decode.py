"""Files and bytes of media to arrays. Libraries are imported when they are first needed."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from nexus_torch.upright import upright
from numpy.typing import NDArray

Stored = bytes | Path
MOST = 2 << 30
"""Bytes of one sample, decoded."""
UNKNOWN = 1
"""libsndfile's error for a format that it does not know."""
BLOCK = 1 << 22
"""Samples of a sound that are read at once, of all channels."""


def image(stored: Stored) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], the right way up."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(_opened(stored)) as found:
            return np.array(upright(found).convert("RGB"))
    except UnidentifiedImageError as error:
        raise ValueError("is no image of a known format") from error
    except (Image.DecompressionBombError, SyntaxError, EOFError) as error:
        raise ValueError(f"is no image that can be read ({error})") from error


def audio(stored: Stored, rate: int = 0) -> tuple[NDArray[np.float32], int]:
    """One channel, float32 [N], and its samples a second: `rate`, or those of the file."""
    import soundfile

    try:
        with soundfile.SoundFile(_opened(stored)) as sound:
            found, mono = sound.samplerate, _mono(sound)
    except soundfile.LibsndfileError as error:
        if error.code != UNKNOWN:                           # damaged, and FFmpeg would guess at the rest
            raise ValueError(f"is no sound that can be read ({error.error_string})") from error
        mono, found = _by_film(stored, str(error.error_string))
    return resampled(mono, found, rate or found), rate or found


def _mono(sound: Any) -> NDArray[np.float32]:
    """The mean of the channels, a block at a time: how long a file is, its head may say wrongly."""
    size, blocks, length = max(1, BLOCK // sound.channels), list[NDArray[np.float32]](), 0
    while len(block := sound.read(size, dtype="float32", always_2d=True)):
        blocks.append(block.mean(1, dtype=np.float32))
        length += len(block)
        _bounded(4 * length, "sound")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _by_film(stored: Stored, said: str) -> tuple[NDArray[np.float32], int]:
    """The sound of what libsndfile does not know (m4a, AAC, Opus in WebM, the sound of a film), by FFmpeg."""
    import av

    blocks, rate, length = list[NDArray[np.float32]](), 0, 0
    try:
        with av.open(_opened(stored)) as container:
            planar = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for each in planar.resample(frame):
                    blocks.append(each.to_ndarray().mean(0, dtype=np.float32))
                    rate, length = each.sample_rate, length + each.samples
                    _bounded(4 * length, "sound")
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(
            f"is no sound that can be read ({said.rstrip('.')}). Convert it: ffmpeg -i FILE FILE.wav"
        ) from error
    if not rate:
        raise ValueError(f"holds no sound ({said.rstrip('.')})")
    return np.concatenate(blocks), rate


def video(stored: Stored, frames: int = 0) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3]; `frames` of them, evenly spread, or all."""
    import av

    try:
        kept = np.linspace(0, _count(stored) - 1, frames).round().astype(int).tolist() if frames else None
        found = _frames(stored, None if kept is None else set(kept))
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"is no video that can be read ({error})") from error
    if not found:
        raise ValueError("holds no frame")
    return np.stack([found[at] for at in kept or found])


def _count(stored: Stored) -> int:
    """How many frames a video has: decoded and dropped, since what its head says may be wrong."""
    import av

    with av.open(_opened(stored)) as container:
        return sum(1 for _ in container.decode(video=0))


def _frames(stored: Stored, kept: set[int] | None) -> dict[int, NDArray[np.uint8]]:
    """Position -> frame, of those that are kept, or of all."""
    import av

    found: dict[int, NDArray[np.uint8]] = {}
    with av.open(_opened(stored)) as container:
        for at, frame in enumerate(container.decode(video=0)):
            if kept is None or at in kept:
                _bounded(3 * frame.width * frame.height * (len(found) + 1), "video; take some frames of it: frames: 16")
                found[at] = frame.to_ndarray(format="rgb24")
    return found


def _bounded(size: int, what: str) -> None:
    """ValueError for what would take more memory than any sample should."""
    if size > MOST:
        raise ValueError(f"is more than {MOST >> 20} MB of {what}")


def resampled(sound: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """At another rate: the spectrum cut off or filled up with zeros (exact for what is below both limits)."""
    if rate == wanted or not len(sound):
        return sound
    count = max(1, round(len(sound) * wanted / rate))
    _bounded(4 * count, "sound")
    spectrum = np.fft.rfft(sound.astype(np.float64))
    kept = np.zeros(count // 2 + 1, complex)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, count) * count / len(sound)).astype(np.float32)


def _opened(stored: Any) -> Any:
    if isinstance(stored, bytes):
        return BytesIO(stored)
    if isinstance(stored, Path):
        return str(stored.absolute())  # what begins with "/" is a file to every library, never an address
    raise ValueError(f"holds {type(stored).__name__} where bytes or a path are expected")
