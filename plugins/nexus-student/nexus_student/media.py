"""Images, sounds and films from files, as samples hold them. What reads them is imported when it is first needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError
from numpy.typing import NDArray


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
    path = Path(name).expanduser()
    if not path.is_file():
        raise NexusError(f"There is no file '{name}'.")
    try:
        return reader(path)
    except Exception as error:
        raise NexusError(f"'{name}' does not open as {what}: {error}.") from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]"""
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def read_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """float32 [N], the mean of all channels, and the rate."""
    import soundfile

    waves, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return waves.mean(1), int(rate)


def read_video(path: Path) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3]; of .npy files the array itself."""
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint8)
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if not frames:
        raise ValueError("it has no frames")
    return np.stack(frames)
