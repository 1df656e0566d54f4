"""Checks of losses: one finite value for each sample, its own, from real tokens alone, with a gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..components import LossComponent
from ..observation import SPECIAL_TAPS, Signal, Tap
from ..students import Link, Loss
from .base import ComponentTests
from .values import close, finite, flat, is_tensor, shape

Bound = Callable[[Signal, Signal], Any]
Pair = tuple[Signal, Signal]
PER_LOGITS = ("ids", "probabilities", "output")
PER_SAMPLE = ("output", "label", "embedding")


def size(signal: Signal) -> int:
    """How many samples a signal holds."""
    tensors = [signal.hidden, signal.tokens, signal.mask, *signal.outputs.values(), *signal.states.values()]
    return next(shape(value)[0] for value in tensors if value is not None)


def pick(signal: Signal, rows: Sequence[int]) -> Signal:
    """The signal of some of its samples, in this order."""
    index = list(rows)

    def take(value: Any) -> Any:
        return None if value is None else value[index]

    return dataclasses.replace(
        signal,
        keys=tuple(signal.keys[row] for row in index) if signal.keys else (),
        hidden=take(signal.hidden),
        tokens=take(signal.tokens),
        mask=take(signal.mask),
        spans=take(signal.spans),
        states={tap: take(value) for tap, value in signal.states.items()},
        outputs={name: take(value) for name, value in signal.outputs.items()},
    )


def disturb(signal: Signal) -> Signal:
    """The same signal with other numbers where the mask says that there is no token."""
    mask = signal.mask

    def noisy(value: Any) -> Any:
        if not is_tensor(value) or not value.is_floating_point() or shape(value)[:2] != shape(mask):
            return value
        real = mask.reshape(*mask.shape, *(1 for _ in shape(value)[2:]))
        return value.where(real, value.detach() * -2.0 + 7.0)

    return dataclasses.replace(
        signal,
        hidden=noisy(signal.hidden),
        states={tap: noisy(value) for tap, value in signal.states.items()},
        outputs={name: value if name in PER_SAMPLE else noisy(value) for name, value in signal.outputs.items()},
    )


def check_taps(loss: Loss, link: Link) -> None:
    """What it wants of the student exists there."""
    taps = loss.taps(link)
    assert all(isinstance(tap, Tap) for tap in taps), f"`taps` gave {taps!r}. Give a sequence of nexus_specs.Tap."
    known = [stack.path for stack in link.student.stacks]
    for tap in taps:
        inside = any(tap.path.startswith(path) for path in known)
        assert tap.path in SPECIAL_TAPS or inside, (
            f"The tap '{tap.path}' is no module of the student. Take paths from `link.anchors` (its second ones) or "
            f"`link.student.stacks`, or one of {', '.join(SPECIAL_TAPS)}."
        )


def check_shape(bound: Bound, student: Signal, teacher: Signal) -> None:
    """[B], finite."""
    value = bound(student, teacher)
    expected = [size(student)]
    assert shape(value) == expected, (
        f"Return one value per sample: expected shape {expected}, got {shape(value)}. "
        f"Reduce over tokens, not over samples."
    )
    assert finite(value), (
        f"The loss is {flat(value)}. Keep it finite: work in float32, use log_softmax, and guard against empty masks."
    )


def check_independence(bound: Bound, student: Signal, teacher: Signal) -> None:
    """A sample's value is the same in another order and without the others."""
    rows = list(range(size(student)))[::-1][:-1]
    whole = flat(bound(student, teacher))
    part = flat(bound(pick(student, rows), pick(teacher, rows)))
    assert close(part, [whole[row] for row in rows], 1e-4), (
        f"The values of samples {rows} are {part} without the others, {[whole[row] for row in rows]} with them. "
        f"Let each value depend on its own sample: no mean, norm or softmax over the batch."
    )


def check_mask(bound: Bound, student: Signal, teacher: Signal) -> None:
    """Padding counts for nothing."""
    if student.mask is None:
        return
    other_teacher = disturb(teacher) if teacher.mask is not None else teacher
    changed = flat(bound(disturb(student), other_teacher))
    assert close(flat(bound(student, teacher)), changed, 1e-4), (
        "The loss changes when padding changes. Multiply by `mask` before you sum, and divide by the number of real "
        "tokens, not by T."
    )


def check_gradient(bound: Bound, student: Signal, teacher: Signal) -> None:
    """It reaches the student."""
    leaves: list[Any] = []

    def leaf(value: Any) -> Any:
        if not is_tensor(value) or not value.is_floating_point():
            return value
        leaves.append(value.detach().clone().requires_grad_())
        return leaves[-1]

    learning = dataclasses.replace(
        student,
        hidden=leaf(student.hidden),
        states={tap: leaf(value) for tap, value in student.states.items()},
        outputs={name: leaf(value) for name, value in student.outputs.items()},
    )
    value = bound(learning, teacher)
    assert is_tensor(value) and value.requires_grad, (
        "The loss has no gradient for the student. Compute it with tensor operations: no .item(), .detach(), "
        ".argmax() or numpy on the student's side."
    )
    value.sum().backward()
    grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
    assert grads and any(any(number != 0.0 for number in flat(grad)) for grad in grads), (
        "The gradient is zero for every part of the student's signal. Let the loss depend on the student."
    )
    assert all(finite(grad) for grad in grads), (
        "The gradient is not finite. Guard square roots, logarithms and divisions at zero (clamp before, not after)."
    )


def check_divergence(bound: Bound, student: Signal, teacher: Signal) -> None:
    """Zero where student and teacher agree."""
    value = flat(bound(student, teacher))
    assert close(value, [0.0] * len(value), 1e-4), (
        f"The loss is {value} for a student that equals its teacher. A divergence is zero there: subtract the "
        f"teacher's entropy. If it is none, leave `equal()` out of the test."
    )


def check_records(component: LossComponent, bound: Bound, student: Signal, teacher: Signal) -> None:
    """It reads no record that it does not declare: extraction would not have made it."""
    bare = dataclasses.replace(
        teacher,
        states=teacher.states if "states" in component.records else {},
        outputs=teacher.outputs if "logits" in component.records else _without(teacher.outputs, PER_LOGITS),
    )
    try:
        bound(student, bare)
    except Exception as error:
        raise AssertionError(
            f"With the declared records {component.records} alone the loss raised {type(error).__name__}: {error}. "
            f"Name in `records` what it reads of the teacher: 'logits' (ids, probabilities, output) or 'states'."
        ) from error


def _without(outputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if name not in names}


class LossTests(ComponentTests):
    """A loss, on one pair of signals (three samples or more, of different lengths)."""

    kind = "loss"

    def link(self) -> Link:
        """A teacher's profile and the student's blueprint."""
        raise NotImplementedError("Give `link()`: Link(profile=…, student=blueprint()).")

    def signals(self) -> Pair:
        """The student's and the teacher's signal."""
        raise NotImplementedError("Give `signals()`: (student, teacher), with what the loss reads.")

    def equal(self) -> Pair | None:
        """Signals that agree, if the loss is a divergence: it must be zero for them."""
        return None

    def bound(self) -> Bound:
        """The loss, bound to the link."""
        bound: Bound = self.component().bind(self.link())
        return bound

    def test_taps_exist_in_the_student(self) -> None:
        check_taps(self.component(), self.link())

    def test_one_finite_value_for_each_sample(self) -> None:
        check_shape(self.bound(), *self.signals())

    def test_samples_are_independent(self) -> None:
        check_independence(self.bound(), *self.signals())

    def test_padding_counts_for_nothing(self) -> None:
        check_mask(self.bound(), *self.signals())

    def test_gradient_reaches_the_student(self) -> None:
        check_gradient(self.bound(), *self.signals())

    def test_it_is_zero_for_equal_signals(self) -> None:
        if pair := self.equal():
            check_divergence(self.bound(), *pair)

    def test_it_reads_the_records_that_it_declares(self) -> None:
        descriptor = self.descriptor()
        assert isinstance(descriptor, LossComponent)
        check_records(descriptor, self.bound(), *self.signals())
