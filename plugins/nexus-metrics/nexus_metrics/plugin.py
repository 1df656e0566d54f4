"""What this plugin offers: metrics that several towers share."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import MetricComponent, hookimpl


@hookimpl
def nexus_metrics() -> Iterable[MetricComponent]:
    """Bits per byte for text, accuracy for classes, exact match for generated answers."""
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
