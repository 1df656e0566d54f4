"""Checks of profilers: every layer judged once, in numbers that can be compared, without touching the teacher."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..data import Sample
from ..models import Blueprint
from ..records import plain, record
from ..teachers import Metric, Profile, Profiler, Teacher
from .base import ComponentTests
from .context import LocalContext
from .values import flat


def check_profile(profile: Any, blueprint: Blueprint) -> None:
    """A profile of this teacher, which JSON keeps."""
    assert isinstance(profile, Profile), f"`profile` gave a {type(profile).__name__}. Return a nexus_specs.Profile."
    assert profile.blueprint == blueprint, (
        "The profile has another blueprint than the teacher. Put `teacher.blueprint` into it."
    )
    data = json.loads(json.dumps(plain(profile)))
    assert plain(record(Profile, data)) == data, "JSON does not keep the profile. Use plain str, int and float in it."
    assert math.isfinite(profile.score), (
        f"The profile's score is {profile.score}. Give the intact teacher's score by the metric: "
        f"what a layer is worth is a share of it."
    )


def check_layers(profile: Profile) -> None:
    """Each layer of the largest stack once, with an interval around its importance and a rank that is possible."""
    stacks = profile.blueprint.stacks
    known = {layer: width for stack in stacks for layer, width in zip(stack.layers, stack.widths, strict=True)}
    counts = Counter(layer.path for layer in profile.layers)
    strange = sorted(set(counts) - set(known))
    assert not strange, f"The profile names '{strange[:1]}', no layer of the teacher. Take paths from `stack.layers`."
    for path in profile.blueprint.largest_stack.layers:
        assert counts[path] == 1, f"The layer '{path}' is in the profile {counts[path]} times. Judge each layer once."
    for layer in profile.layers:
        assert math.isfinite(layer.importance) and layer.low <= layer.importance <= layer.high, (
            f"The importance of '{layer.path}' is {layer.importance} in [{layer.low}, {layer.high}]. "
            f"Give a finite value inside its interval."
        )
        assert 0 <= layer.rank <= known[layer.path] or known[layer.path] < 0, (
            f"The rank of '{layer.path}' is {layer.rank} at width {known[layer.path]}. Keep it between 0 and the width."
        )
    assert any(layer.critical for layer in profile.layers), (
        "No layer is critical. Mark at least one: anchors and towers attach to critical layers."
    )


def check_bases(profile: Profile, artefact: Path) -> None:
    """Each basis that the profile names was written."""
    for path, place in profile.bases.items():
        file, _, key = place.partition("#")
        assert file and key, f"The basis of '{path}' is at '{place}'. Write it as 'file.safetensors#key'."
        assert (artefact / file).is_file(), (
            f"The basis of '{path}' should be in '{file}', which was not written. Write it through `context.write`."
        )


def check_repeatable(one: Profile, other: Profile) -> None:
    """The same seed, the same profile."""
    assert plain(one) == plain(other) or json.dumps(plain(one)) == json.dumps(plain(other)), (
        "A second profile of the same teacher and samples differs. Seed everything that is drawn with `context.seed`."
    )


def check_untouched(before: Mapping[str, Sequence[float]], teacher: Teacher) -> None:
    """The teacher's weights are what they were."""
    changed = [name for name, value in weights(teacher).items() if before.get(name) != value]
    assert not changed, (
        f"Profiling changed the teacher's weights ({', '.join(changed[:3])}). Ablate with edits, which the engine "
        f"carries out and undoes."
    )


def weights(teacher: Teacher) -> dict[str, list[float]]:
    """Names and numbers of a resident teacher; {} of a streamed one."""
    return {} if teacher.module is None else {name: flat(value) for name, value in teacher.module.state_dict().items()}


class ProfilerTests(ComponentTests):
    """A profiler, on one small teacher."""

    kind = "profiler"

    def teacher(self) -> AbstractContextManager[Teacher]:
        """A small teacher, from an engine or written in the test."""
        raise NotImplementedError("Give `teacher()`: a context manager of a small Teacher.")

    def samples(self) -> Sequence[Sample]:
        """Samples that the metric can judge."""
        raise NotImplementedError("Give `samples()`: a few that the teacher takes and the metric can judge.")

    def metric(self) -> Metric:
        """What importance is measured by."""
        raise NotImplementedError("Give `metric()`: the metric that layers are judged by.")

    def context(self) -> Any:
        """What the profiler is given beside them."""
        return LocalContext(self.folder)

    def profile(self) -> Profile:
        """One profile."""
        profiler: Profiler = self.component()
        with self.teacher() as teacher:
            before = weights(teacher)
            found = profiler.profile(teacher, iter(self.samples()), self.metric(), self.context())
            check_untouched(before, teacher)
            check_profile(found, teacher.blueprint)
        return found

    def test_every_layer_is_judged_once(self) -> None:
        check_layers(self.profile())

    def test_bases_are_written(self) -> None:
        check_bases(self.profile(), self.folder / "artefact")

    def test_profiling_again_gives_the_same(self) -> None:
        check_repeatable(self.profile(), self.profile())
