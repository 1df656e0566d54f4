"""Forward KL, KL(teacher || student).

Text: the teacher's next-token distribution p is recorded sparsely as an unbiased estimate (exact top plus sampled
tail: 2503.16870; hybrid measured in this project), so the loss is linear in it:
    L = sum_k p_k (log p_k - log q(id_k)),        gradient (sum p) q - p,
the mean over the real positions of a sample. Classes: T^2 KL(softmax(t / T) || softmax(s / T)) (Hinton et al. 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nexus_specs import Link, NexusError, Signal, Tap
from torch import Tensor
from torch.nn import functional

from .listed import expected
from .options import ForwardKlOptions
from .vocabulary import over_vocabulary, positions, precise


class ForwardKl:
    """Kind "loss": one value a sample, zero where the student gives the teacher's distribution."""

    def __init__(self, **options: Any) -> None:
        self.options = ForwardKlOptions(**options)

    def taps(self, link: Link) -> Sequence[Tap]:
        """Nothing but the output."""
        return ()

    def bind(self, link: Link) -> Callable[[Signal, Signal], Tensor]:
        """-> loss(student, teacher): [B]. Text where the teacher's record is sparse, classes otherwise."""

        def loss(student: Signal, teacher: Signal) -> Tensor:
            if "ids" in teacher.outputs:
                return self._text(student, teacher)
            if "output" in teacher.outputs and "output" in student.outputs:
                found, wanted = student.outputs["output"], teacher.outputs["output"]
                _check(found.shape[-1], wanted.shape[-1], link.profile.teacher)
                return self._classes(found, wanted)
            raise NexusError(
                f"forward_kl found no output of '{link.profile.teacher}' to follow: its record holds "
                f"{', '.join(sorted(teacher.outputs)) or 'nothing'}, the student gives "
                f"{', '.join(sorted(student.outputs)) or 'hidden states'}. "
                "Extract again with: nexus run --stage extract"
            )

        return loss

    def _text(self, student: Signal, teacher: Signal) -> Tensor:
        real = positions(student)
        ids = real.pick(teacher.outputs["ids"]).long()
        target = precise(real.pick(teacher.outputs["probabilities"]))
        hidden = real.pick(student.hidden)
        found = over_vocabulary(hidden, student, expected, (ids, target), self.options.logits_at_once)
        constant = (target * target.clamp_min(1e-30).log()).sum(-1)
        return real.means(constant - found)

    def _classes(self, student: Tensor, teacher: Tensor) -> Tensor:
        temperature = self.options.temperature
        log_q = functional.log_softmax(precise(student) / temperature, -1)
        log_p = functional.log_softmax(precise(teacher) / temperature, -1)
        return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1) * temperature**2


def _check(found: int, wanted: int, teacher: str) -> None:
    """One class would broadcast over all, and a distribution over one thing teaches nothing, both without a word."""
    if wanted < 2:
        raise NexusError(
            f"forward_kl follows a distribution over classes, and '{teacher}' gives one number a sample (a regression, "
            "or a single logit). Use a loss on values for it: `nexus new-plugin loss NAME` writes one."
        )
    if found != wanted:
        raise NexusError(
            f"forward_kl cannot compare the student's {found} classes with the {wanted} of '{teacher}'. Give its tower "
            "as many as its teacher has (the towers here do that by themselves where their option classes is 0)."
        )
