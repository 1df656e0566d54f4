"""What this plugin offers: metrics that several towers share."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import MetricComponent, hookimpl

_METRICS = (
    ("bits_per_byte", "text:BitsPerByte", "",
     "Bits that a byte of text costs; comparable between tokenizers. Floor: a bigram model of bytes"),
    ("accuracy", "classes:Accuracy", "AccuracyOptions",
     "Share of labelled items whose class is right. Floor: chance, or the commonest class of training"),
    ("exact_match", "answers:ExactMatch", "ExactMatchOptions",
     "Share of generated answers that are the expected ones. Floor: the commonest answer of training"),
    ("number_match", "judging:NumberMatch", "AnswerOptions",
     "Share of answers whose last number is the expected one (GSM8K). Floor: training's commonest number"),
    ("choice_accuracy", "judging:ChoiceAccuracy", "ChoiceOptions",
     "Share of answers that name the right choice, by letter or words (MMMU). Floor: chance"),
    ("choice_likelihood", "likelihood:ChoiceLikelihood", "LikelihoodOptions",
     "Share of questions whose likeliest choice is right (MMLU as lm-eval has it); streams. Floor: chance"),
    ("vqa_accuracy", "people:VqaAccuracy", "QuestionOptions",
     "How many of ten people gave the same answer, three being enough (VQA). Floor: training's commonest answer"),
    ("word_error_rate", "spoken:WordErrorRate", "TranscriptOptions",
     "Wrong, missing and added words over the words spoken. Floor: an empty transcript"),
    ("character_error_rate", "spoken:CharacterErrorRate", "TranscriptOptions",
     "Wrong, missing and added characters over those spoken. Floor: an empty transcript"),
    ("bleu", "translated:Bleu", "TranslationOptions",
     "BLEU of the corpus, 0 to 100. Floor: the source, untranslated"),
    ("chrf", "translated:Chrf", "TranslationOptions",
     "Corpus chrF++, 0 to 100. Floor: the source, untranslated"),
    ("pass_at_1", "programs:PassAt1", "ProgramOptions",
     "Share of generated programs that pass their tests (pass@1), run only where `run` allows it. Floor: 0"),
    ("knn_accuracy", "neighbours:KnnAccuracy", "NeighbourOptions",
     "Share of items whose label their nearest neighbours have. Floor: the commonest label"),
    ("zero_shot_accuracy", "prompted:ZeroShotAccuracy", "PromptOptions",
     "Share of pictures nearest to the words of their class in a named CLIP or SigLIP. Floor: chance"),
    ("mean_squared_error", "reconstructed:MeanSquaredError", "PairOptions",
     "Mean squared difference of two taps (a denoiser's prediction and target). Floor: 1, what says zero"),
    ("variance_explained", "reconstructed:VarianceExplained", "PairOptions",
     "Share of the target's variance that a reconstruction explains. Floor: 0, the mean"),
    ("signal_to_distortion", "reconstructed:SignalToDistortion", "PairOptions",
     "Scale-invariant signal-to-distortion ratio of a codec, in dB. Floor: 0, silence"),
    ("speaker_similarity", "judged:SpeakerSimilarity", "EncoderOptions",
     "Cosine of two voices in a named encoder. Floor: another speaker of the data"),
    ("clip_score", "judged:ClipScore", "EncoderOptions",
     "Likeness of a picture and its text in a named CLIP, 0 to 100. Floor: a grey picture"),
    ("frechet_distance", "judged:FrechetDistance", "EncoderOptions",
     "FID of pictures or FVD of films in a named encoder. Floor: grey pictures"),
)  # fmt: skip
"""Name, target and options in this package, and what it says."""
_LOWER = frozenset(
    {"bits_per_byte", "word_error_rate", "character_error_rate", "mean_squared_error", "frechet_distance"}
)
"""Those of which less is better."""


@hookimpl
def nexus_metrics() -> Iterable[MetricComponent]:
    """For text, classes, generated answers, transcripts, translations, programs, embeddings and what is made."""
    for name, target, options, summary in _METRICS:
        yield MetricComponent(
            name=name,
            target=f"nexus_metrics.{target}",
            summary=summary,
            options=f"nexus_metrics.options:{options}" if options else "",
            higher_is_better=name not in _LOWER,
        )
