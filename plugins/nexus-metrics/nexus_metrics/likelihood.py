"""Choices by log-likelihood: the one that a model finds likeliest behind the question, as lm-evaluation-harness scores
MMLU, ARC and HellaSwag. Nothing is generated, so a streamed teacher is judged as well.

Shapes: T tokens after the first one; V variants of a sample, one for each choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample, Tap
from numpy.typing import NDArray

from .judging import ChoiceAccuracy
from .options import LikelihoodOptions
from .ratio import numbers

ASKED = ("prompt", "messages", "answer", "target", "choices", "max_new_tokens", "stop")
"""Fields of a question that a variant of it, a text to be read, has no longer."""
SIGNS = ".,;:!?%)]}'’"
"""What begins with one of these follows without a space."""


class ChoiceLikelihood(ChoiceAccuracy):
    """Kind "metric": whether the right one of the sample's choices is the likeliest to follow its question; a row is
    [correct]. A model is shown the question with each choice behind it (`variants`), and the log-probabilities of the
    tokens that the choice adds are summed, or divided by its length."""

    observed = (Tap(path="logprob"), Tap(path="spans", optional=True), Tap(path="tokens", optional=True))
    """What is read off the variants; `taps` are none: of the sample itself there is nothing to observe."""
    name = "choice_likelihood"

    def __init__(self, **options: Any) -> None:
        self.chances = LikelihoodOptions(**options)
        super().__init__(choices=self.chances.choices, field=self.chances.field, count=self.chances.count)

    def variants(self, sample: Sample) -> list[Sample]:
        """The question with each of its choices behind it, in their order; none where the right one is not known."""
        if self._right(sample) is None:
            return []
        question = self._question(sample)
        fields = {name: value for name, value in sample.fields.items() if name not in (*ASKED, self.chances.choices)}
        return [
            Sample(key=f"{sample.key}.{place}", fields={**fields, "text": question + ending}, domain=sample.domain)
            for place, ending in enumerate(self._endings(sample))
        ]

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "logprob", and "spans" or "tokens": for each sample a list with the value of each of its variants; an
        empty row where the right choice is not known. A question that is too long for its choices to be read is
        answered wrongly."""
        if "logprob" not in outputs:
            raise NexusError(
                "choice_likelihood reads log-probabilities of each choice behind its question, and was given answers. "
                "Judge answers by choice_accuracy."
            )
        none = [()] * len(samples)
        columns = zip(
            samples, outputs["logprob"], outputs.get("spans", none), outputs.get("tokens", none), strict=True
        )
        return [self._judged(*each) for each in columns]

    def _judged(self, sample: Sample, logprobs: Any, spans: Any, tokens: Any) -> tuple[float, ...]:
        right = self._right(sample)
        if right is None:
            return ()
        endings = self._endings(sample)
        sums = self._sums(sample, [numbers(each).ravel() for each in logprobs], spans, tokens)
        if self.chances.normalise:
            sums = [total / max(1, len(ending.strip())) for total, ending in zip(sums, endings, strict=True)]
        if any(math.isnan(total) for total in sums):
            return (0.0,)
        return (float(int(np.argmax(sums)) == right),)

    def _sums(self, sample: Sample, logprobs: list[NDArray[np.float64]], spans: Any, tokens: Any) -> list[float]:
        """Of each choice; nan where it was not read to its end: what is left of it would be the likelier for that."""
        places = [numbers(each).reshape(-1, 2) for each in spans]
        if places and all(len(each) for each in places):
            question = self._question(sample)
            columns = zip(logprobs, places, self._endings(sample), strict=True)
            return [_behind(values, each, question, ending) for values, each, ending in columns]
        ids = [numbers(each).ravel() for each in tokens]
        if not ids or not all(len(each) for each in ids) or self.chances.normalise:
            raise NexusError(
                "This model does not say where its tokens stand in a text, so choice_likelihood cannot tell a "
                f"choice from its question{', as normalise: true needs it' if ids else ''}. Judge by choice_accuracy."
            )
        shared = _shared(ids)                               # what all choices have in common decides nothing
        return [_total(values[max(0, shared - (len(each) - len(values))) :])
                for values, each in zip(logprobs, ids, strict=True)]  # fmt: skip

    def _question(self, sample: Sample) -> str:
        """What stands before every choice, without the space at its end: tokens begin with theirs."""
        said = next((sample.fields[name] for name in ("prompt", "text") if sample.fields.get(name)), None)
        if said is None:
            raise NexusError(
                f"choice_likelihood puts each choice behind the question of a sample, and {sample.key} has neither "
                "`prompt` nor `text`. Map one: columns: {prompt: NAME}."
            )
        return str(said).rstrip(" ")

    def _endings(self, sample: Sample) -> list[str]:
        """Each choice as it stands behind the question."""
        choices, letters = self._choices(sample)
        said = choices if self.chances.by == "words" else list(letters[: len(choices) or self.options.count])
        if not said:
            raise NexusError(
                f"choice_likelihood by words needs the choices, and {sample.key} has none in its field "
                f"'{self.chances.choices}'. Map it: columns: {{{self.chances.choices}: NAME}}."
            )
        ended = self._question(sample)[-1:] in ("", "\n", "\t")
        return [each if ended or each[:1] in SIGNS else f" {each}" for each in (text.strip(" ") for text in said)]


def _behind(values: NDArray[np.float64], places: NDArray[np.float64], question: str, ending: str) -> float:
    """The sum over tokens that reach beyond the question; one that has no letters (an end token) does not count. nan
    where letters of the choice are behind the last token: the text was cut."""
    begins, text = len(_bytes(question)), _bytes(question + ending)
    if any(map(str.isalnum, text[int(places[:, 1].max()) :].decode("utf-8", "ignore"))):
        return math.nan
    here = places[len(places) - len(values) :]
    return _total(values[(here[:, 1] > begins) & (here[:, 1] > here[:, 0])])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _total(values: NDArray[np.float64]) -> float:
    return float(values.sum()) if len(values) else math.nan


def _shared(ids: Sequence[NDArray[np.float64]]) -> int:
    """How many tokens all of them begin with."""
    least = min(len(each) for each in ids)
    same = np.all([each[:least] == ids[0][:least] for each in ids], axis=0)
    return least if same.all() else int(np.argmin(same))
