"""What samples show: those that stand out, and the blueprint with what a checkpoint tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from nexus_specs import Blueprint, NexusError, Sample, Shown, as_shown, as_usual, standing_out
from nexus_torch.usual import usual

BLUEPRINT = Blueprint(
    family="llava", head="LlavaForConditionalGeneration", takes=("image", "text"), gives=("text",), stacks=(),
    parameters=1, active_parameters=1, bytes=2, dtype="BF16", seen=100, places=10,
)  # fmt: skip


def sized(key: str, *shape: int, **fields: Any) -> Sample:
    return Sample(key=key, fields={"image": np.zeros(shape, np.uint8), **fields})


class Telling:
    """A checkpoint that tells how many samples it was shown, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def shown(self, samples: Sequence[Sample], paths: Sequence[str] = ()) -> Shown:
        if self.error:
            raise self.error
        return Shown(seen=len(samples), unmet=tuple(paths))


def test_samples_stand_out_by_what_they_hold_in_any_direction() -> None:
    most = [sized("large", 30, 30, 3), sized("high", 40, 4, 3), sized("wide", 4, 40, 3)]
    several = Sample(key="several", fields={"image": [np.zeros((5, 5, 3), np.uint8)] * 4})
    usual = [sized(f"usual {at}", 20, 20, 3) for at in range(9)]
    bare = [Sample(key=key, fields={"text": key, "image": None}) for key in ("first", "second")]
    found = {each.key for each in standing_out([*usual, *most, several, *bare])}
    assert found == {"large", "high", "wide", "several", "first"}, "and one that shows nothing"


def test_a_film_is_as_large_as_its_frames() -> None:
    films = [Sample(key=str(count), fields={"video": np.zeros((count, 8, 8, 3), np.uint8)}) for count in (2, 9, 3)]
    assert "9" in {each.key for each in standing_out(films)}


def test_the_blueprint_is_told_what_samples_show() -> None:
    samples = [sized("one", 4, 4, 3)]
    told = as_shown(BLUEPRINT, Telling(), samples, ["vae"])
    assert told == replace(BLUEPRINT, seen=1, places=0, unmet=("vae",))
    for silent in (object(), Telling(NexusError("no such picture"))):
        assert as_shown(BLUEPRINT, silent, samples) == BLUEPRINT
    assert as_shown(BLUEPRINT, Telling(), []) == BLUEPRINT, "nobody knows what comes"


class Usual(Telling):
    """One that knows how its samples usually come, or has none."""

    def __init__(self, found: Sample | None, error: Exception | None = None) -> None:
        super().__init__(error)
        self.found = found

    def usual(self) -> tuple[Sample | None, str]:
        return self.found, "a picture" if self.found else ""


def test_where_nobody_has_a_sample_a_usual_one_tells() -> None:
    one = sized("usual", 480, 640, 3)
    assert as_usual(BLUEPRINT, Usual(one)) == (replace(BLUEPRINT, seen=1, places=0), "a picture")
    for silent in (object(), Telling(), Usual(None), Usual(one, NexusError("no processor"))):
        assert as_usual(BLUEPRINT, silent) == (BLUEPRINT, "")


def test_a_usual_sample_has_all_that_is_taken() -> None:
    takes: dict[tuple[str, ...], list[str]] = {
        ("image", "video", "text"): ["image", "text"], ("video",): ["video"], ("audio", "text"): ["audio", "text"],
        ("text",): [], ("noise",): [],
    }  # fmt: skip
    for kinds, fields in takes.items():
        found, words = usual(kinds, ("text",), 8000)
        assert list(found.fields if found else {}) == fields
        assert words.count(" and ") == max(0, len(fields) - 1)
    sound, words = usual(("audio",), ("embedding",), 8000)
    assert sound is not None
    assert (sound.fields["audio"].shape, words) == ((80_000,), "a sound of 10 s")
    speaking, words = usual(("audio", "text"), ("audio",), 8000)
    assert speaking is not None
    assert (list(speaking.fields), words) == (["text"], "a short text"), "of what it is to say, no sound beside it"
