"""Which frames are looked at, and how."""

from __future__ import annotations

import numpy as np
import torch
from nexus_specs import Profile, Sample
from nexus_specs.testing import blueprint
from nexus_tower_video.tower import VideoTower


def film(frames: int) -> Sample:
    video = np.repeat(np.arange(frames, dtype=np.uint8)[:, None, None], 8, 1).repeat(8, 2)
    return Sample(key=str(frames), fields={"video": video})


def test_frames_are_taken_evenly() -> None:
    tower = VideoTower(size=8, patch=4, frames=4, tubelet=2)
    found = tower.collate([film(4), film(10), film(1)])["frames"]
    assert found.shape == (3, 4, 3, 8, 8)
    assert found[:, :, 0, 0, 0].tolist() == [[0, 1, 2, 3], [0, 3, 6, 9], [0, 0, 0, 0]]


def test_tubelets() -> None:
    teacher = blueprint(takes=("video",), gives=("label",), labels=("a", "b"), parameters=200_000)
    tower = VideoTower(size=8, patch=4, frames=4, tubelet=2, depth=1)
    module = tower.build(blueprint(), [Profile(teacher="x", capability="x", blueprint=teacher, layers=())])
    batch = tower.collate([film(4), film(9)])
    assert module.front(**batch).shape[:2] == (2, 8)
    assert module.decode(torch.zeros(2, 32), module.encode(**batch)).shape == (2, 2)
