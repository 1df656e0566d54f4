"""Golden values in float64, gradients, chunks and masks."""

from __future__ import annotations

import pytest
import torch
from nexus_loss_distill.cross_entropy import CrossEntropy
from nexus_loss_distill.forward_kl import ForwardKl
from nexus_loss_distill.listed import expected
from nexus_loss_distill.vocabulary import STEP
from nexus_specs import Blueprint, Link, NexusError, Profile, Signal, Stack
from torch.nn import functional

STACK = Stack(path="layers", count=1, widths=(4,), layer_bytes=(4,))
PRINT = Blueprint(
    family="toy", head="Toy", takes=("text",), gives=("text",), stacks=(STACK,), parameters=1, active_parameters=1,
    bytes=4, dtype="F32",
)  # fmt: skip
LINK = Link(profile=Profile(teacher="t", capability="c", blueprint=PRINT, layers=()), student=PRINT)


@pytest.fixture
def text() -> tuple[Signal, Signal, torch.Tensor]:
    torch.manual_seed(0)
    batch, length, width, vocabulary = 3, 6, 4, 11
    hidden = torch.randn(batch, length, width, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(vocabulary, width, dtype=torch.float64)
    mask = torch.arange(length) < torch.tensor([6, 4, 2])[:, None]
    tokens = torch.randint(vocabulary, (batch, length))
    student = Signal(hidden=hidden, head=lambda h: h @ matrix.T, tokens=tokens, mask=mask)
    dense = torch.randn(batch, length, vocabulary, dtype=torch.float64).softmax(-1)
    ids = torch.arange(vocabulary).expand(batch, length, -1)
    return student, Signal(tokens=tokens, mask=mask, outputs={"ids": ids, "probabilities": dense}), matrix


def by_hand(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.stack([row[: int(real.sum()) - 1].mean() for row, real in zip(values, mask, strict=True)])


def test_forward_kl_over_a_full_list_is_the_dense_kl(text: tuple) -> None:
    student, teacher, matrix = text
    log_q = (student.hidden @ matrix.T).log_softmax(-1)
    p = teacher.outputs["probabilities"]
    expected = by_hand((p * (p.log() - log_q)).sum(-1), student.mask)
    found = ForwardKl().bind(LINK)(student, teacher)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradient_of_a_sparse_target_is_mass_times_q_minus_p() -> None:
    logits = torch.randn(1, 2, 5, dtype=torch.float64, requires_grad=True)
    student = Signal(hidden=logits, head=lambda h: h, tokens=torch.zeros(1, 2, dtype=torch.long))
    ids, p = torch.tensor([[[3, 3, 0]] * 2]), torch.tensor([[[0.2, 0.2, 0.5]] * 2], dtype=torch.float64)
    ForwardKl().bind(LINK)(student, Signal(outputs={"ids": ids, "probabilities": p})).sum().backward()
    target = torch.tensor([0.5, 0, 0, 0.4, 0], dtype=torch.float64)
    torch.testing.assert_close(logits.grad[0, 0], 0.9 * logits[0, 0].softmax(-1).detach() - target)
    assert not logits.grad[0, 1].any(), "the last position predicts nothing that was observed"


@pytest.mark.parametrize("loss", [ForwardKl, CrossEntropy])
def test_chunks_change_neither_values_nor_gradients(text: tuple, loss: type) -> None:
    student, teacher, _ = text
    results = []
    for at_once in (10**9, 22):
        student.hidden.grad = None
        value = loss(logits_at_once=at_once).bind(LINK)(student, teacher)
        value.sum().backward()
        results.append((value.detach(), student.hidden.grad.clone()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_gradients_of_listed_tokens_are_autograds() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 7, dtype=torch.float64, requires_grad=True)
    ids, weights = torch.randint(7, (4, 3)), torch.rand(4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: expected(x, ids, weights), logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_text_with_smoothing(text: tuple, smoothing: float) -> None:
    student, _, matrix = text
    logits = (student.hidden @ matrix.T)[:, :-1].mT
    nll = functional.cross_entropy(logits, student.tokens[:, 1:], reduction="none", label_smoothing=smoothing)
    found = CrossEntropy(label_smoothing=smoothing).bind(LINK)(student, Signal())
    torch.testing.assert_close(found, by_hand(functional.pad(nll, (0, 1)), student.mask))


def test_forward_kl_of_classes() -> None:
    student, teacher = torch.randn(2, 4, 5, dtype=torch.float64)
    p, q = (teacher / 2).softmax(-1), (student / 2).softmax(-1)
    mine, theirs = Signal(outputs={"output": student}), Signal(outputs={"output": teacher})
    found = ForwardKl(temperature=2).bind(LINK)(mine, theirs)
    torch.testing.assert_close(found, 4 * (p * (p / q).log()).sum(-1))
    same = ForwardKl().bind(LINK)(mine, mine)
    assert same.abs().max() < 1e-12


def test_unknown_labels_give_zero_and_no_gradient() -> None:
    output = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = Signal(outputs={"label": torch.tensor([1, -100, 2])})
    found = CrossEntropy(label_smoothing=0.1).bind(LINK)(Signal(outputs={"output": output}), labels)
    found.sum().backward()
    log_q = output.detach().log_softmax(-1)
    assert found[1] == 0
    assert not output.grad[1].any()
    torch.testing.assert_close(found[0].detach(), -0.9 * log_q[0, 1] - 0.1 * log_q[0].mean())


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NexusError, match="nexus run --stage extract"):
        ForwardKl().bind(LINK)(Signal(), Signal())
    with pytest.raises(NexusError, match="label column"):
        CrossEntropy().bind(LINK)(Signal(outputs={"output": torch.zeros(1, 2)}), Signal())
    with pytest.raises(NexusError, match="vocabulary head"):
        CrossEntropy().bind(LINK)(Signal(hidden=torch.zeros(1, 2, 3), tokens=torch.zeros(1, 2)), Signal())


def of_classes(count: int) -> Signal:
    return Signal(keys=("a", "b"), outputs={"output": torch.zeros(2, count)})


@pytest.mark.parametrize(("found", "wanted", "words"), [(1, 10, "1 classes with the 10"), (1, 1, "gives one number")])
def test_what_would_broadcast_or_teach_nothing_is_refused(found: int, wanted: int, words: str) -> None:
    with pytest.raises(NexusError, match=words):
        ForwardKl().bind(LINK)(of_classes(found), of_classes(wanted))


def test_one_class_is_none_to_tell_apart() -> None:
    labels = Signal(keys=("a", "b"), outputs={"label": torch.zeros(2)})
    with pytest.raises(NexusError, match=r"gives one number a sample for .* it would learn nothing"):
        CrossEntropy().bind(LINK)(of_classes(1), labels)


def test_a_label_beyond_the_classes_is_named() -> None:
    teacher = Signal(keys=("a", "b"), outputs={"label": torch.tensor([0, 7])})
    with pytest.raises(NexusError, match="label 7, and the student tells 3 classes"):
        CrossEntropy().bind(LINK)(of_classes(3), teacher)


def test_many_positions_meet_the_vocabulary_in_even_numbers_and_nobody_sees_it() -> None:
    torch.manual_seed(0)
    met, matrix = [], torch.randn(7, 4, dtype=torch.float64)

    def head(states: torch.Tensor) -> torch.Tensor:
        met.append(len(states))
        return states @ matrix.T

    hidden = torch.randn(2, STEP, 4, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(7, (2, STEP))
    found = CrossEntropy().bind(LINK)(Signal(hidden=hidden, head=head, tokens=tokens), Signal())
    found.sum().backward()
    by_torch = hidden.detach().clone().requires_grad_()
    logits = (by_torch @ matrix.T)[:, :-1].transpose(1, 2)
    wanted = functional.cross_entropy(logits, tokens[:, 1:], reduction="none").mean(1)
    wanted.sum().backward()
    assert met[-1] == 2 * STEP, "2 * (STEP - 1) positions predict a token"
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(hidden.grad, by_torch.grad)
