"""Metrics of generated answers that are right or wrong: numbers and choices."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .options import AnswerOptions, ChoiceOptions
from .ratio import Ratio
from .references import expected, final, plain_words, references

_NUMBER = re.compile(r"(?:(?<!\d)[-+])?(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d{1,3}\b)?")
_FINAL = re.compile(r"####\s*([^\n]*)|\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
"""How the answers of GSM8K and of models of mathematics mark what is final."""
_SIGNS = (("\u2212", "-"), ("{,}", ","), ("\\!", ""))
"""Minus, and how LaTeX writes thousands: 1{,}000 and 1,\\!000."""
_SAID = r"(?:[Aa]nswer|ANSWER|[Cc]hoice|[Oo]ption)\b\W*(?:(?:is|are|would be|must be|should be)\b\W*)?(?:\\boxed\{)?"
LETTERS = "ABCDEFGHIJ"
LONGEST = 40
"""Digits of a number that is compared as one."""


class NumberMatch(Ratio):
    """Kind "metric": whether the last number of the answer is the expected one (GSM8K: what follows "####" in the
    reference); a row is [correct]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = AnswerOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where no number is expected."""
        pairs = zip(map(self._right, samples), outputs["answer"], strict=True)
        return [() if right is None else (float(final_number(str(answer)) == right),) for right, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest number of training, given to every held-out question."""
        references(held_out, "number_match", self.options.field, "answer", "label")
        known = Counter(each for each in map(self._right, train) if each is not None)
        right = [each for each in map(self._right, held_out) if each is not None]
        commonest = min(known, key=lambda each: (-known[each], each)) if known else None
        return right.count(commonest) / len(right) if right and commonest is not None else 0.0

    def _right(self, sample: Sample) -> Decimal | None:
        said = expected(sample, self.options.field, "answer", "label")
        return None if said is None else last_number(str(said).rpartition("####")[2])


class ChoiceAccuracy(Ratio):
    """Kind "metric": whether the answer names the right one of the sample's choices, by its letter or its words; a row
    is [correct]."""

    taps: tuple[Tap, ...] = ()
    name = "choice_accuracy"

    def __init__(self, **options: Any) -> None:
        self.options = ChoiceOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where the right choice is not known."""
        return [self._row(sample, str(answer)) for sample, answer in zip(samples, outputs["answer"], strict=True)]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """Chance: the mean of one over the number of choices."""
        references(held_out, self.name, self.options.field, "answer", "label")
        judged = [sample for sample in held_out if self._right(sample) is not None]
        counts = [len(self._choices(sample)[0]) or self.options.count for sample in judged]
        return sum(1 / count for count in counts) / len(counts) if counts else 0.0

    def _row(self, sample: Sample, answer: str) -> tuple[float, ...]:
        right = self._right(sample)
        choices, letters = self._choices(sample)
        return () if right is None else (float(chosen(answer, choices, self.options.count, letters) == right),)

    def _choices(self, sample: Sample) -> tuple[list[str], str]:
        """The texts of the choices, and what they are called by: a list, a list that is written out (MMMU), or {text,
        label} (ARC, of which some questions count 1 to 4)."""
        said = sample.fields.get(self.options.choices)
        labels = said.get("label") if isinstance(said, Mapping) else None
        found = listed(said.get("text") if isinstance(said, Mapping) else said)
        letters = "".join(map(str, labels)) if isinstance(labels, (list, tuple)) else ""
        return found, letters if letters and len(letters) == len(found) else LETTERS

    def _right(self, sample: Sample) -> int | None:
        """The place of the right choice, which a reference names by number, letter or words."""
        said = expected(sample, self.options.field, "answer", "label")
        if said is None:
            return None
        choices, letters = self._choices(sample)
        if isinstance(said, int) or hasattr(said, "__index__"):
            return self._counted(int(said), len(choices), sample)
        number, count = str(said).strip(), len(choices) or self.options.count
        counted = number.isdecimal() and number not in letters and _worded(number, choices) is None
        if counted:                                         # HellaSwag's labels are "0" to "3"
            return int(number) if len(number) < LONGEST and int(number) < count else None
        return chosen(number, choices, self.options.count, letters)

    def _counted(self, place: int, there: int, sample: Sample) -> int | None:
        """A place that a number names; None for -1, which stands for what is kept secret. NexusError for one behind the
        last choice: numbers from 1 on would make every answer another one."""
        if there and place >= there:
            raise NexusError(
                f"The right choice of {sample.fields.get('source', sample.key)} is {place}, counted from 0, and there "
                f"are {there}. Where the data count from 1, name the field with letters or words (field)."
            )
        return place if place >= 0 else None


def final_number(answer: str) -> Decimal | None:
    """The number that an answer ends with: behind its first "####" or in its last box where it marks one so, else the
    last of all, before any further question that the model puts to itself.

    >>> final_number("2 + 2 = 4 #### 4\\n\\nQuestion: 7 apples?"), final_number(r"so \\boxed{5}, as 1 of 6 says")
    (Decimal('4'), Decimal('5'))
    """
    answer = _signed(final(answer))
    behind = [number[0] for found, _ in _FINAL.findall(answer) if (number := _NUMBER.search(found))]
    if behind:
        return last_number(behind[0])
    boxed = [found for _, found in _FINAL.findall(answer) if found]
    said = last_number(boxed[-1]) if boxed else None
    return last_number(answer) if said is None else said


def last_number(text: str) -> Decimal | None:
    """The last number in a text, whatever its spelling; None for none.

    >>> last_number("It costs $1,250.50 in all."), last_number("none")
    (Decimal('1250.5'), None)
    """
    found = _NUMBER.findall(_signed(text))
    if not found or len(found[-1]) > LONGEST:
        return None
    try:
        return Decimal(found[-1].replace(",", "")).normalize()
    except ArithmeticError:
        return None


def _signed(text: str) -> str:
    for written, meant in _SIGNS:
        text = text.replace(written, meant)
    return text


def listed(said: Any) -> list[str]:
    """The texts of a list, also of one that is written out as Python does it; [] for anything else.

    >>> listed(["a", "b"]), listed("['a', 'b']"), listed("a")
    (['a', 'b'], ['a', 'b'], [])
    """
    return [str(each) for each in items(said)]


def items(said: Any) -> list[Any]:
    """The same, as they are."""
    if isinstance(said, str) and said.startswith("[") and len(said) < 1 << 16:
        try:
            said = ast.literal_eval(said)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return []
    return list(said) if isinstance(said, (list, tuple)) else []


def chosen(answer: str, choices: Sequence[str], count: int, letters: str = LETTERS) -> int | None:
    """The place of the choice that an answer names: "(B)", "B. …", "answer: B" or the choice's own words. Of several
    that it calls its answer, the last one counts: what reasons about options names others before.

    >>> chosen("The answer is (C).", [], 4), chosen("b", [], 4), chosen("Paris", ["Rome", "Paris"], 4)
    (2, 1, 1)
    >>> chosen("The answer is a dog", ["cat", "dog"], 4), chosen("Option A is wrong. The answer is B.", [], 4)
    (1, 1)
    """
    answer = final(answer)
    if (place := _worded(answer, choices)) is not None:
        return place
    letters = letters[: len(choices) or count]
    if said := _lettered(answer, letters):
        return letters.upper().index(said.upper())
    words = f" {' '.join(plain_words(answer))} "
    plain = [" ".join(plain_words(choice)) for choice in choices]
    named = [place for place, choice in enumerate(plain) if choice and f" {choice} " in words]
    inner = [place for place in named if any(plain[place] in plain[other] for other in named if other != place)]
    left = [place for place in named if place not in inner]  # "New York" names York as well
    return left[0] if len(left) == 1 else None


def _worded(answer: str, choices: Sequence[str]) -> int | None:
    """The one choice whose words, signs and all, else whose plain words, are the whole answer."""
    for alike in (lambda text: [text.strip().rstrip(".").casefold()], plain_words):
        said = alike(answer)
        places = [place for place, choice in enumerate(choices) if any(said) and alike(choice) == said]
        if len(places) == 1:
            return places[0]
    return None


def _lettered(answer: str, letters: str) -> str:
    """The letter that an answer names; "" for none. A small one counts where it stands alone or is marked as one: "a"
    is a word."""
    alone = re.fullmatch(rf"[\s*(]*([{letters}])[\s*).:]*", answer, re.IGNORECASE)
    if alone:
        return alone[1]
    small = rf"\(([{letters.lower()}])\)|([{letters.lower()}])(?:[).:]|\s*$)"
    called = re.compile(rf"(?:{_SAID})(?:\(?([{letters}])\b(?!['’])|{small})", re.MULTILINE)
    kinds = [[*called.finditer(answer)]]
    kinds.insert(0, [each for each in kinds[0] if each[0][:3].lower() == "ans"])
    for found in kinds:                                     # "the answer is" before "option"
        if found:
            return str(next(filter(None, found[-1].groups())))
    begins = re.match(rf"[\s*(]*([{letters}])(?:[*)]*[).:,*]|[ \t]*\n)", answer)
    if begins:
        return begins[1]
    marked = re.findall(rf"(?:^|\s|\\boxed\{{)\(?([{letters}])(?:[).:](?=\s|$)|\}})", answer)
    return str(marked[0]) if marked else ""
