"""Checks of engines: every observation once, unpadded, the same each time; edits that share what precedes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoint
from ..data import Sample
from ..models import Blueprint, Budget, Estimate, Machine
from ..observation import Tap
from ..teachers import Engine, Teacher
from ..work import NotResident
from .base import ComponentTests
from .context import ListSink
from .values import close, finite, same, shape


class Keep:
    """An edit that changes nothing, and remembers what it was shown."""

    def __init__(self, path: str) -> None:
        self.name, self.modules = f"keep:{path}", (path,)
        self.seen_rows, self.seen_at_first_apply = 0, -1

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        """Counts samples."""
        self.seen_rows += shape(output)[0]

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        """The output as it was."""
        if self.seen_at_first_apply < 0:
            self.seen_at_first_apply = self.seen_rows
        return output


class Silence(Keep):
    """An edit that makes an output zero."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.name = f"silence:{path}"

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        """Zeros."""
        return output * 0.0


def check_machine(machine: Any) -> None:
    """Measured, not assumed."""
    assert isinstance(machine, Machine), f"`machine` gave a {type(machine).__name__}. Return a nexus_specs.Machine."
    assert machine.cores > 0 and machine.memory > 0 and machine.gigaflops > 0, (
        f"The machine has {machine.cores} cores, {machine.memory} bytes and {machine.gigaflops} gigaflops. "
        f"Measure them: plans and estimates are made of them."
    )
    assert machine.device in ("cpu", "cuda"), f"The device is '{machine.device}'. Allowed: cpu, cuda."


def check_estimate(engine: Engine, blueprint: Blueprint, budget: Budget) -> None:
    """Made from the blueprint alone, and it grows with the work."""
    small, large = (engine.estimate(blueprint, samples, 0, budget) for samples in (10, 1000))
    assert isinstance(small, Estimate), f"`estimate` gave a {type(small).__name__}. Return a nexus_specs.Estimate."
    numbers = (small.seconds, small.read, small.memory, small.disk, small.passes)
    assert all(math.isfinite(number) and number >= 0 for number in numbers), (
        f"The estimate {numbers} is negative or not finite. Guard divisions by a rate that was not measured (0)."
    )
    assert large.seconds >= small.seconds, "1000 samples cost less than 10. Let the estimate grow with the samples."
    assert small.how, "The estimate does not say how. Name the residency and why, as in 'resident: 4 MB of 16 GB'."


def check_place(engine: Engine, blueprint: Blueprint, budget: Budget) -> None:
    """What is open is settled, what is not stays."""
    settled = engine.place(blueprint, replace(budget, quantise="auto", micro_batch=0))
    assert isinstance(settled, Budget), f"`place` gave a {type(settled).__name__}. Return the Budget, settled."
    assert settled.micro_batch > 0 and settled.quantise != "auto", (
        f"`place` left micro_batch {settled.micro_batch} and quantise '{settled.quantise}' open. Settle both: the plan "
        f"hashes them."
    )
    given = replace(budget, quantise="", micro_batch=3)
    kept = engine.place(blueprint, given, tokens=4096.0)
    assert (kept.micro_batch, kept.quantise, kept.precision) == (3, "", budget.precision), (
        "`place` changed what was not open. Keep the micro-batch, the quantisation and the precision that are given."
    )


def observe(teacher: Teacher, samples: Sequence[Sample], taps: Sequence[Tap], edits: Sequence[Any] = ()) -> ListSink:
    """What was observed."""
    sink = ListSink()
    teacher.observe(iter(samples), taps, sink, edits)
    return sink


def check_complete(teacher: Teacher, samples: Sequence[Sample], taps: Sequence[Tap]) -> None:
    """One value for each sample and tap, finite, on the CPU, and a flush at the end."""
    sink = observe(teacher, samples, taps)
    for tap in taps:
        values = sink.values(tap.path)
        missing = [sample.key for sample in samples if sample.key not in values]
        assert not missing, (
            f"No piece for {len(missing)} of {len(samples)} samples at '{tap.path}'. "
            f"Put one for every sample and tap, the last, smaller batch too."
        )
        for value in values.values():
            assert not (hasattr(value, "device") and str(value.device) != "cpu"), (
                f"A value of '{tap.path}' lies on {value.device}. Move it to the CPU before you put it."
            )
            assert finite(value), f"A value of '{tap.path}' is not finite. Check precision and the attention mask."
    assert sink.flushed, "`observe` did not flush the sink. Call `sink.flush()` at the end, or pieces are lost."


def check_unpadded(teacher: Teacher, samples: Sequence[Sample], taps: Sequence[Tap]) -> None:
    """A sample's value is the same alone and beside a longer one."""
    beside = observe(teacher, samples, taps)
    for sample in samples:
        alone = observe(teacher, [sample], taps)
        for tap in taps:
            one, other = alone.value(sample.key, tap.path), beside.value(sample.key, tap.path)
            assert shape(one) == shape(other), (
                f"'{tap.path}' has shape {shape(one)} for a sample alone and {shape(other)} beside others. "
                f"Cut the padding off before you put a piece, and match values and keys within the batch."
            )
            assert close(one, other, 1e-3), (
                f"'{tap.path}' has other values for a sample alone than beside others. "
                f"Pass the attention mask, so that padding counts for nothing."
            )


def check_repeatable(teacher: Teacher, samples: Sequence[Sample], taps: Sequence[Tap]) -> None:
    """A second pass gives the same values: a sink may receive a piece twice."""
    first, second = (observe(teacher, samples, taps) for _ in range(2))
    for tap in taps:
        for sample in samples:
            assert same(first.value(sample.key, tap.path), second.value(sample.key, tap.path)), (
                f"'{tap.path}' has other values the second time. Call `eval()` (dropout), and leave the weights as "
                f"they are after an edit."
            )


def check_edits(teacher: Teacher, samples: Sequence[Sample], taps: Sequence[Tap], paths: Sequence[str]) -> None:
    """An edit that keeps changes nothing; one that silences does; what precedes an edit stays exactly as it was."""
    first, last = paths[0], paths[-1]
    keep, silence = Keep(last), Silence(last)
    wanted = [*taps, *(Tap(path=path) for path in (first, last) if path not in {tap.path for tap in taps})]
    sink = observe(teacher, samples, wanted, [keep, silence])
    end = taps[-1].path
    for sample in samples:
        intact, kept = sink.value(sample.key, end), _edited(sink, sample.key, end, keep.name)
        assert close(intact, kept, 1e-5), (
            f"An edit that returns the output changed '{end}'. Put in its place exactly what `apply` returns."
        )
        assert not same(intact, _edited(sink, sample.key, end, silence.name)), (
            f"An edit that zeroes '{last}' changed nothing at '{end}'. Let what follows see what `apply` returns."
        )
        if first != last:
            before = sink.values(first, silence.name).get(sample.key)
            assert before is None or same(before, sink.value(sample.key, first)), (
                f"An edit of '{last}' changed '{first}', which precedes it. Edit the one module, and undo it after."
            )
    assert keep.seen_at_first_apply == len(samples), (
        f"`apply` was called after {max(keep.seen_at_first_apply, 0)} of {len(samples)} intact samples were `seen`. "
        f"Pass every intact batch through a module before any edit of it: an edit may need a mean over the corpus."
    )


def _edited(sink: ListSink, key: str, tap: str, edit: str) -> Any:
    values = sink.values(tap, edit)
    assert key in values, (
        f"No piece for the edit '{edit}' at '{tap}'. Put one for every sample, tap and edit, with `edit=edit.name`."
    )
    return values[key]


def check_generate(teacher: Teacher, samples: Sequence[Sample]) -> None:
    """One answer for each sample from a resident teacher; NotResident from a streamed one."""
    try:
        answers = teacher.generate(samples)
    except NotResident:
        assert teacher.module is None, "`generate` raised NotResident, but `module` is there. Let it generate."
        return
    assert teacher.module is not None, "`generate` answered without a resident module. Raise NotResident."
    assert len(answers) == len(samples), f"`generate` gave {len(answers)} answers for {len(samples)} samples."


class EngineTests(ComponentTests):
    """An engine, on one small checkpoint."""

    kind = "engine"

    def checkpoint(self) -> Checkpoint:
        """A small checkpoint."""
        raise NotImplementedError("Give `checkpoint()`: a small one, from a loader or written in the test.")

    def samples(self) -> Sequence[Sample]:
        """At least three samples, of different lengths where that can be."""
        raise NotImplementedError("Give `samples()`: at least three that the checkpoint takes.")

    def taps(self) -> Sequence[Tap]:
        """First and last layer, and what comes out."""
        blueprint = self.checkpoint().blueprint
        layers = blueprint.largest_stack.layers
        end = "logprob" if "text" in blueprint.gives else "output"
        return [Tap(path=path) for path in (layers[0], layers[-1], end)]

    def budget(self) -> Budget:
        """Two samples a batch, so that three make a smaller last one."""
        return Budget(memory=1 << 32, scratch=self.folder, micro_batch=2)

    def teacher(self) -> AbstractContextManager[Teacher]:
        """The checkpoint, loaded."""
        teacher: AbstractContextManager[Teacher] = self.component().load(self.checkpoint(), self.budget())
        return teacher

    def test_machine_is_measured(self) -> None:
        check_machine(self.component().machine(Path(self.folder)))

    def test_estimate_needs_no_weights(self) -> None:
        check_estimate(self.component(), self.checkpoint().blueprint, self.budget())

    def test_what_is_open_is_settled(self) -> None:
        check_place(self.component(), self.checkpoint().blueprint, self.budget())

    def test_every_observation_arrives(self) -> None:
        with self.teacher() as teacher:
            check_complete(teacher, self.samples(), self.taps())

    def test_pieces_are_unpadded(self) -> None:
        with self.teacher() as teacher:
            check_unpadded(teacher, self.samples(), self.taps())

    def test_observing_again_gives_the_same(self) -> None:
        with self.teacher() as teacher:
            check_repeatable(teacher, self.samples(), self.taps())

    def test_edits_share_what_precedes_them(self) -> None:
        with self.teacher() as teacher:
            check_edits(teacher, self.samples(), self.taps(), teacher.blueprint.largest_stack.layers)

    def test_generating_needs_a_resident_teacher(self) -> None:
        with self.teacher() as teacher:
            if "text" in teacher.blueprint.gives or teacher.module is None:
                check_generate(teacher, self.samples()[:1])
