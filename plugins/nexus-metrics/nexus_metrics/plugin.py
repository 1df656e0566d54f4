"""What this plugin offers: metrics that several towers share."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import MetricComponent, hookimpl


@hookimpl
def nexus_metrics() -> Iterable[MetricComponent]:
    """For text, classes, generated answers, transcripts, translations, programs, embeddings and what is made."""
    yield MetricComponent(
        name="bits_per_byte",
        target="nexus_metrics.text:BitsPerByte",
        summary="Bits that a byte of text costs; comparable between tokenizers. Floor: a bigram model of bytes",
        higher_is_better=False,
    )
    yield MetricComponent(
        name="accuracy",
        target="nexus_metrics.classes:Accuracy",
        summary="Share of labelled items whose class is right. Floor: chance, or the commonest class of training",
        options="nexus_metrics.options:AccuracyOptions",
    )
    yield MetricComponent(
        name="exact_match",
        target="nexus_metrics.answers:ExactMatch",
        summary="Share of generated answers that are the expected ones. Floor: the commonest answer of training",
        options="nexus_metrics.options:ExactMatchOptions",
    )
    yield MetricComponent(
        name="number_match",
        target="nexus_metrics.judging:NumberMatch",
        summary="Share of answers whose last number is the expected one (GSM8K). Floor: training's commonest number",
        options="nexus_metrics.options:AnswerOptions",
    )
    yield MetricComponent(
        name="choice_accuracy",
        target="nexus_metrics.judging:ChoiceAccuracy",
        summary="Share of answers that name the right choice, by letter or words (MMLU). Floor: chance",
        options="nexus_metrics.options:ChoiceOptions",
    )
    yield MetricComponent(
        name="word_error_rate",
        target="nexus_metrics.spoken:WordErrorRate",
        summary="Wrong, missing and added words over the words spoken. Floor: an empty transcript",
        options="nexus_metrics.options:TranscriptOptions",
        higher_is_better=False,
    )
    yield MetricComponent(
        name="character_error_rate",
        target="nexus_metrics.spoken:CharacterErrorRate",
        summary="The same for characters. Floor: an empty transcript",
        options="nexus_metrics.options:TranscriptOptions",
        higher_is_better=False,
    )
    yield MetricComponent(
        name="bleu",
        target="nexus_metrics.translated:Bleu",
        summary="BLEU of the corpus, 0 to 100. Floor: the source, untranslated",
        options="nexus_metrics.options:TranslationOptions",
    )
    yield MetricComponent(
        name="chrf",
        target="nexus_metrics.translated:Chrf",
        summary="Corpus chrF++, 0 to 100. Floor: the source, untranslated",
        options="nexus_metrics.options:TranslationOptions",
    )
    yield MetricComponent(
        name="pass_at_1",
        target="nexus_metrics.programs:PassAt1",
        summary="Share of generated programs that pass their tests; runs them only where `run` allows it. Floor: 0",
        options="nexus_metrics.options:ProgramOptions",
    )
    yield MetricComponent(
        name="knn_accuracy",
        target="nexus_metrics.neighbours:KnnAccuracy",
        summary="Share of items whose label their nearest neighbours have. Floor: the commonest label",
        options="nexus_metrics.options:NeighbourOptions",
    )
    yield MetricComponent(
        name="mean_squared_error",
        target="nexus_metrics.reconstructed:MeanSquaredError",
        summary="Mean squared difference of two taps (a denoiser's prediction and target). Floor: 1, what says zero",
        options="nexus_metrics.options:PairOptions",
        higher_is_better=False,
    )
    yield MetricComponent(
        name="variance_explained",
        target="nexus_metrics.reconstructed:VarianceExplained",
        summary="Share of the target's variance that a reconstruction explains. Floor: 0, the mean",
        options="nexus_metrics.options:PairOptions",
    )
    yield MetricComponent(
        name="signal_to_distortion",
        target="nexus_metrics.reconstructed:SignalToDistortion",
        summary="Scale-invariant signal-to-distortion ratio of a codec, in dB. Floor: 0, silence",
        options="nexus_metrics.options:PairOptions",
    )
    yield MetricComponent(
        name="speaker_similarity",
        target="nexus_metrics.judged:SpeakerSimilarity",
        summary="Cosine of two voices in a named encoder. Floor: another speaker of the data",
        options="nexus_metrics.options:EncoderOptions",
    )
    yield MetricComponent(
        name="clip_score",
        target="nexus_metrics.judged:ClipScore",
        summary="Likeness of a picture and its text in a named CLIP, 0 to 100. Floor: a grey picture",
        options="nexus_metrics.options:EncoderOptions",
    )
    yield MetricComponent(
        name="frechet_distance",
        target="nexus_metrics.judged:FrechetDistance",
        summary="FID of pictures or FVD of films in a named encoder. Floor: grey pictures",
        options="nexus_metrics.options:EncoderOptions",
        higher_is_better=False,
    )
