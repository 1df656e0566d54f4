"""Cross-entropy on what the data carry: the loss of a control, which has no teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from nexus_specs import Link, NexusError, Signal, Tap
from torch import Tensor
from torch.nn import functional

from .listed import expected
from .options import CrossEntropyOptions
from .vocabulary import over_vocabulary, positions, precise

UNKNOWN = -100


class CrossEntropy:
    """Kind "loss": -(1 - e) log q(y) - e mean log q, with e = `label_smoothing`.

    Text: y is the observed next token, the mean over a sample's real positions. Classes: y is the "label" [B] on the
    teacher's side; a sample whose label is unknown (-100) is zero and has no gradient.
    """

    def __init__(self, **options: Any) -> None:
        self.options = CrossEntropyOptions(**options)

    def taps(self, link: Link) -> Sequence[Tap]:
        """Nothing but the output."""
        return ()

    def bind(self, link: Link) -> Callable[[Signal, Signal], Tensor]:
        """-> loss(student, teacher): [B]."""

        def loss(student: Signal, teacher: Signal) -> Tensor:
            if "output" not in student.outputs:
                return self._text(student)
            if "label" not in teacher.outputs:
                raise NexusError(
                    f"cross_entropy needs labels, and the samples of '{link.profile.teacher}' carry none. Name the "
                    "label column in the data's options (columns: {label: NAME}), or use another loss."
                )
            labels, classes = teacher.outputs["label"].long(), student.outputs["output"].shape[-1]
            if classes < 2:
                raise NexusError(
                    f"cross_entropy tells classes apart, and the student gives one number a sample for "
                    f"'{link.profile.teacher}': it would learn nothing. Use a loss on values: `nexus new-plugin loss "
                    "NAME` writes one."
                )
            if len(labels) and (last := int(labels.max())) >= classes:
                raise NexusError(
                    f"The data of '{link.profile.teacher}' have the label {last}, and the student tells {classes} "
                    f"classes apart: 0 to {classes - 1}. Mend the labels, or take a teacher and a tower with more."
                )
            return self._value(student.outputs["output"], labels)

        return loss

    def _text(self, student: Signal) -> Tensor:
        real = positions(student)
        hidden, observed = real.pick(student.hidden), real.successors(student.tokens)
        value = self._value if self.options.label_smoothing else _surprise
        return real.means(over_vocabulary(hidden, student, value, (observed,), self.options.logits_at_once))

    def _value(self, logits: Tensor, target: Tensor) -> Tensor:
        smoothing = self.options.label_smoothing
        return functional.cross_entropy(
            precise(logits), target, ignore_index=UNKNOWN, reduction="none", label_smoothing=smoothing
        )


def _surprise(logits: Tensor, observed: Tensor) -> Tensor:
    """-log q of the observed token: [n, V], [n] -> [n]."""
    ids = observed[:, None]
    return -expected(logits, ids, torch.ones_like(ids, dtype=torch.float32))
