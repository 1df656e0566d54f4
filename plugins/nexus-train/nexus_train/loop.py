"""The loop of all four stages: some students, their lessons in turn, one optimiser, a state that survives a kill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from nexus_specs import Context, NexusError, Paused, Signal, Student
from torch import Tensor, nn
from torch.nn import Parameter

from . import checkpointing
from .checkpointing import State
from .curve import Curve
from .devices import autocast, placed, placed_signal, product_dtype
from .dropout import dropout
from .lessons import Lessons, weights
from .optimizer import Optimizer
from .options import TrainOptions
from .sampler import turns


class Loop:
    """Trains what the lessons' students say is trainable, and the heads of the losses."""

    def __init__(self, context: Context, lessons: Sequence[Lessons], options: TrainOptions) -> None:
        self.context, self.lessons, self.options = context, tuple(lessons), options
        self.students = list({id(each.student): each.student for each in lessons}.values())
        self.heads = {name: head for each in lessons for name, head in each.heads.items()}
        for module in self.modules:
            module.to(context.budget.device)
        self.named = trained(self.students, self.heads)
        self.optimizer = Optimizer(self.named, options, product_dtype(context.budget))
        self.turns = turns([each.amount for each in lessons], options.steps, options.balance)
        self.curve, self.start = Curve(options.steps), 0

    @property
    def modules(self) -> list[nn.Module]:
        """Of the students and of the losses."""
        return [*(student.module for student in self.students), *self.heads.values()]

    def run(self) -> Curve:
        """All steps from where a killed run left; Paused when the host asks for it."""
        self._resume()
        for module in self.modules:
            module.train()
        with dropout(self.students, self.options.dropout):
            for step in range(self.start, self.options.steps):
                self._step(step)
                self._watch(step + 1)
        for module in self.modules:
            module.eval()
        self._check()
        return self.curve

    def _check(self) -> None:
        """What the last update made is seen by no loss any more."""
        if wrong := [name for name, each in self.named.items() if not each.isfinite().all()]:
            raise NexusError(
                f"The training of {self.context.unit.name} left weights that are not finite, the first in {wrong[0]}. "
                "Lower learning_rate and matrix_learning_rate in its stages."
            )

    def _step(self, step: int) -> None:
        turn, number = self.turns[step]
        lessons, device = self.lessons[turn], self.context.budget.device
        batch, teacher = lessons.batch(number)
        with autocast(self.context.budget):
            student = lessons.student.forward(placed(batch, device), lessons.taps)
            values = lessons.values(student, placed_signal(teacher, device), step / self.options.steps)
        if not step and not any(value.requires_grad for value in values.values()):
            raise self._unmoved(lessons)
        figures = self._update(step, lessons, student, values)
        self.curve.add(step, figures)

    def _update(self, step: int, lessons: Lessons, student: Signal, values: Mapping[str, Tensor]) -> dict[str, float]:
        """One update from the values [B] of the losses. -> the figures of the step."""
        first = next(iter(values.values()))
        parts = weights(student, len(first)).to(first.device)
        parts = parts / parts.sum().clamp_min(1)
        means = {name: (value * parts).sum() for name, value in values.items()}
        loss = torch.stack(list(means.values())).sum()
        figures = {"loss": loss.item(), **{name: value.item() for name, value in means.items()}}
        if not math.isfinite(figures["loss"]):
            raise self._broken("loss", f"is {figures['loss']}", step, lessons, figures)
        if loss.requires_grad:
            loss.backward()
        if not self.optimizer.step(step):
            raise self._broken("gradient", "is not finite", step, lessons, figures)
        return figures

    def _unmoved(self, lessons: Lessons) -> NexusError:
        """Later steps may have no gradient, where a loss lets go; at the first one nothing would ever be learned."""
        losses = ", ".join(dict.fromkeys(term.name for term in lessons.terms))
        return NexusError(
            f"Nothing in {self.context.unit.name} would learn from '{lessons.teacher}': the value of its losses "
            f"({losses}) depends on nothing that is trained. Compute it from what the student gives, without `detach`, "
            "`.item()`, no_grad or whole numbers; and the tower has to have something to train."
        )

    def _broken(
        self, what: str, how: str, step: int, lessons: Lessons, figures: Mapping[str, float]
    ) -> NexusError:
        return NexusError(
            f"The {what} of {self.context.unit.name} {how} at step {step + 1} on the data of '{lessons.teacher}': "
            f"{figures}. Lower learning_rate and matrix_learning_rate in its stages, or check the data for broken "
            "samples."
        )

    def _watch(self, done: int) -> None:
        total = self.options.steps
        figures = self.curve.means() or self.curve.points[-1]
        go_on = self.context.report(done, total, loss=figures["loss"])
        if not go_on or (done % self.options.checkpoint == 0 and done < total):
            checkpointing.save(self.context.budget.scratch, self.context.unit.fingerprint, self._state(done))
        if not go_on:
            raise Paused(f"{self.context.unit.name} stopped at step {done} of {total}")

    def _state(self, done: int) -> State:
        tensors = {f"weight/{name}": parameter for name, parameter in self.named.items()}
        tensors |= {f"buffer/{name}": buffer for name, buffer in self._buffers().items()}
        return State(tensors={**tensors, **self.optimizer.state()}, facts={"step": done, "curve": self.curve.facts()})

    def _resume(self) -> None:
        state = checkpointing.load(self.context.budget.scratch, self.context.unit.fingerprint)
        if state is None:
            return
        with torch.no_grad():
            for kind, targets in (("weight", self.named), ("buffer", self._buffers())):
                for name, target in targets.items():
                    target.copy_(state.tensors[f"{kind}/{name}"])
        self.optimizer.load(state.tensors)
        self.start, self.curve = state.facts["step"], Curve(self.options.steps, state.facts["curve"])

    def _buffers(self) -> dict[str, Tensor]:
        """What changes beside the parameters: running statistics of a tower's own modules."""
        return {
            f"{at}.{name}": buffer for at, module in enumerate(self.modules) for name, buffer in module.named_buffers()
        }


def trained(students: Iterable[Student], heads: Mapping[str, nn.Module]) -> dict[str, Parameter]:
    """Each parameter once, by name: students of one core share its body."""
    found: dict[str, Parameter] = {}
    seen: set[int] = set()
    named = [pair for student in students for pair in student.trainable()]
    named += [(f"{name}.{inner}", each) for name, head in heads.items() for inner, each in head.named_parameters()]
    for name, parameter in named:
        if id(parameter) not in seen:
            seen.add(id(parameter))
            found[name if name not in found else f"{name}#{len(found)}"] = parameter
    return found
