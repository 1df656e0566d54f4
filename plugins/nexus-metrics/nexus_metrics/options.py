"""Options of the metrics."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Literal

from nexus_specs import location, option


@dataclass(frozen=True, kw_only=True)
class AccuracyOptions:
    """What the classes are."""

    labels: tuple[str, ...] = option((), help="Names of the classes in the order of the output, for labels in words")
    classes: int = option(0, help="How many classes there are, for chance; 0: as many as the labels show", low=0)


@dataclass(frozen=True, kw_only=True)
class ExactMatchOptions:
    """When two answers are the same."""

    case: bool = option(False, help="Whether capital letters count")
    words: bool = option(False, help="Whether words alone are compared, without punctuation and articles (SQuAD, VQA)")
    field: str = option("", help="Field of the sample with the expected answer; empty: answer, else label")


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """What people answered."""

    field: str = option("", help="Field of the sample with all their answers; empty: answers, else answer")


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """What an answer is compared with."""

    field: str = option("", help="Field of the sample with the expected answer; empty: answer, else label")


@dataclass(frozen=True, kw_only=True)
class ChoiceOptions:
    """What there is to choose from."""

    choices: str = option("choices", help="Field of the sample with its choices, a list of texts")
    field: str = option("", help="Field with the right one: its number from 0, its letter or its words; empty: answer")
    count: int = option(4, help="How many choices there are where the sample does not list them", low=2, high=10)


@dataclass(frozen=True, kw_only=True)
class LikelihoodOptions(ChoiceOptions):
    """What stands behind a question."""

    by: Literal["letters", "words"] = option("letters", help="Whether the likelihood of a choice's letter is compared "
                                             "(MMLU) or that of its words (HellaSwag)")
    normalise: bool = option(False, help="Whether a likelihood is divided by the letters of its choice (acc_norm of "
                             "lm-evaluation-harness)")


@dataclass(frozen=True, kw_only=True)
class TranscriptOptions:
    """What a transcript is compared with."""

    field: str = option("", help="Field of the sample with the spoken words; empty: text, else answer, else label")
    normalise: bool = option(True, help="Whether capitals and punctuation are left out before words are compared")
    normaliser: Literal["words", "english", "basic"] = option("words", help="How: our own way; as Whisper's papers and "
                                                              "leaderboards do English, or other languages")
    spellings: str = location("", help="For english: normalizer.json of a Whisper checkpoint, or its folder or hub id; "
                              "empty: British spellings stay")


@dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """What a translation is compared with."""

    field: str = option("", help="Field of the sample with the reference; empty: translation, else answer")
    source: str = option("", help="Field with the text that is translated: handed back, it is the floor; empty: "
                         "original, else prompt, else text")


@dataclass(frozen=True, kw_only=True)
class ProgramOptions:
    """Running what a model wrote."""

    run: Literal[True] = option(MISSING, help="Write true where programs that a model wrote may run on this machine, "
                                "each in a child without network or files, for a few seconds")
    """Without a default: a registry that does not allow it is refused before anything runs."""
    field: str = option("tests", help="Field of the sample with Python that fails unless the program is right")
    prompt: str = option("", help="Field with the program's beginning, which the answer continues; empty: prompt, else "
                         "text")
    entry: str = option("entry_point", help="Field with the name that check(...) is called with, as in HumanEval")
    seconds: float = option(5.0, help="Longest a program may run, in seconds", low=0.1, high=600)
    megabytes: int = option(512, help="Most memory that a program may have, in MB", low=64, high=65536)


@dataclass(frozen=True, kw_only=True)
class NeighbourOptions:
    """How many neighbours vote."""

    neighbours: int = option(5, help="Nearest other items that vote on the label of each", low=1, high=1000)


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """The words of the classes, and what embeds them."""

    labels: tuple[str, ...] = option((), help="Names of the classes in the order of their numbers")
    templates: tuple[str, ...] = option(("a photo of a {}.",), help="What is said of a class; {} is its name")
    encoder: str = location("", help="Folder or hub id of the CLIP or SigLIP that embeds the words: the teacher's own")
    field: str = option("label", help="Field of the sample with its class")


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """Which two values of a model are compared."""

    found: str = option("prediction", help="Tap with what the model says")
    wanted: str = option("target", help="Tap, or field of the sample, with what it should say")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """The checkpoint that judges."""

    encoder: str = location("", help="Folder or hub id of the checkpoint whose embeddings are compared")
    field: str = option("", help="Field of the sample with the reference; empty: the medium's own")
