"""Metrics that another checkpoint judges: its embeddings of what a model made, beside those of what was wanted.

Shapes: n items, D numbers of an embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from numpy.typing import NDArray

from .options import EncoderOptions
from .ratio import Ratio, numbers

SIDE = 224
"""Of a grey picture."""


class Encoder:
    """A checkpoint that is open as long as the metric is, and the embeddings that it gives."""

    def __init__(self, source: str, metric: str, example: str) -> None:
        if not source:
            raise NexusError(
                f"{metric} compares embeddings of a checkpoint that you name: metric: {{name: {metric}, options: "
                f"{{encoder: PATH}}}}, for example {example}."
            )
        self.lookup = Installed()
        self.checkpoint = self.lookup.open(source)
        self.loaded = self.lookup.make("engine", "sli").load(self.checkpoint, Budget(residency="resident"))
        self.teacher = self.loaded.__enter__()

    def embedding(self, **fields: Any) -> NDArray[np.float64]:
        """The embedding [D] of one item."""
        sample = Sample(key="0", fields=fields)
        batch, output = self._run(sample)
        signal = self.checkpoint.read(output, batch)
        found = signal.outputs.get("embedding", signal.outputs.get("output"))
        if found is None:
            raise NexusError(f"The encoder ({self.checkpoint.blueprint.head}) gives no embedding. Name another one.")
        return numbers(found[0]).ravel()

    def pair(self, **fields: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Embeddings of a picture and a text in one space (CLIP, SigLIP)."""
        _, output = self._run(Sample(key="0", fields=fields))
        found = [getattr(output, name, None) for name in ("image_embeds", "text_embeds")]
        if found[0] is None or found[1] is None:
            raise NexusError(f"The encoder ({self.checkpoint.blueprint.head}) has no space of pictures and texts.")
        return numbers(found[0][0]).ravel(), numbers(found[1][0]).ravel()

    @property
    def frames(self) -> int:
        """How many frames of a film it sees; 0: any."""
        return int(getattr(getattr(self.teacher.module, "config", None), "num_frames", 0) or 0)

    def _run(self, sample: Sample) -> tuple[Any, Any]:
        import torch

        batch = self.checkpoint.collate([sample])
        with torch.no_grad():
            return batch, self.teacher.module(**batch)

    def __del__(self) -> None:
        if hasattr(self, "teacher"):
            self.loaded.__exit__(None, None, None)


class Judged:
    """What these metrics share: the encoder, opened when it is first asked."""

    taps: tuple[Tap, ...] = ()
    name = ""
    example = ""

    def __init__(self, **options: Any) -> None:
        self.options = EncoderOptions(**options)

    @cached_property
    def encoder(self) -> Encoder:
        """The checkpoint that judges."""
        return Encoder(self.options.encoder, self.name, self.example)


class SpeakerSimilarity(Judged, Ratio):
    """Kind "metric": cosine between the voices of the answer and of the sample's sound; a row is [cosine]."""

    name, example = "speaker_similarity", "a WavLM with x-vectors (microsoft/wavlm-base-plus-sv)"

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer" [N], a sound at the encoder's rate; an empty row where the sample has no voice to compare."""
        field = self.options.field or "audio"
        return [
            (cosine(self.encoder.embedding(audio=_sound(answer, self.name)), self._voice(sample, field)),)
            if field in sample.fields else ()
            for sample, answer in zip(samples, outputs["answer"], strict=True)
        ]  # fmt: skip

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The cosine between the voices of different samples: somebody else speaks."""
        field = self.options.field or "audio"
        voices = [self._voice(each, field) for each in held_out if field in each.fields]
        if not voices:
            raise NexusError(f"{self.name} has nothing to score: no held-out sample has {field}.")
        return float(np.mean([cosine(each, voices[at - 1]) for at, each in enumerate(voices)])) if voices[1:] else 0.0

    def _voice(self, sample: Sample, field: str) -> NDArray[np.float64]:
        """That of a sample's sound; with its rate, since an encoder hears at one rate alone, and says so."""
        rate = {"rate": sample.fields["rate"]} if field == "audio" and sample.fields.get("rate") is not None else {}
        return self.encoder.embedding(audio=sample.fields[field], **rate)


class ClipScore(Judged, Ratio):
    """Kind "metric": 100 max(0, cosine) between the picture that a model made and the text it was asked for (Hessel et
    al. 2021, without their factor of 2.5); a row is [score]."""

    name, example = "clip_score", "openai/clip-vit-large-patch14"

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer", a picture uint8 [H, W, 3]; an empty row where the sample has no text."""
        pairs = zip(samples, outputs["answer"], strict=True)
        return [self._row(sample.fields.get(self.options.field or "text"), answer) for sample, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The score of a grey picture."""
        texts = [each.fields[name] for each in held_out if (name := self.options.field or "text") in each.fields]
        if not texts:
            raise NexusError(f"{self.name} has nothing to score: no held-out sample has a text.")
        return float(np.mean([self._row(text, grey())[0] for text in texts]))

    def _row(self, text: Any, picture: Any) -> tuple[float, ...]:
        if text is None:
            return ()
        return (100 * max(0.0, cosine(*self.encoder.pair(image=_pixels(picture, self.name), text=str(text)))),)


class FrechetDistance(Judged):
    """Kind "metric": Fréchet distance between the embeddings of what a model made and of what is real, as normal
    distributions: FID with an encoder of pictures, FVD with one of films (Heusel et al. 2017); a row is [both]."""

    name, example = "frechet_distance", "an encoder of pictures (facebook/dinov2-base) or films (MCG-NJU/videomae-base)"

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer", a picture [H, W, 3] or film [F, H, W, 3] of uint8; an empty row where nothing is real."""
        rows: list[tuple[float, ...]] = []
        for sample, answer in zip(samples, outputs["answer"], strict=True):
            real = self._real(sample)
            rows.append(() if real is None else (*self._seen(answer), *self._seen(real)))
        return rows

    def reduce(self, rows: Any) -> float:
        """|m - m'|² + tr(C + C' - 2 (C C')^½) over these rows; nan for fewer than two."""
        kept = [row for row in rows if len(row)]
        if len(kept) < 2:
            return math.nan
        table = np.array(kept, np.float64)
        return frechet(*np.split(table, 2, axis=1))

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The distance of grey pictures from the real ones."""
        real = [each for sample in held_out if (each := self._real(sample)) is not None]
        if len(real) < 2:
            raise NexusError(f"{self.name} has nothing to score: held-out samples have no pictures or films.")
        seen = [self._seen(each) for each in real]
        nothing = [self._seen(np.full_like(np.asarray(each, np.uint8), 128)) for each in real]
        return frechet(np.array(nothing), np.array(seen))

    def _real(self, sample: Sample) -> Any:
        names = (self.options.field,) if self.options.field else ("video", "image")
        return next((sample.fields[name] for name in names if name in sample.fields), None)

    def _seen(self, made: Any) -> NDArray[np.float64]:
        pixels = _pixels(made, self.name)
        if pixels.ndim == 4 and (count := self.encoder.frames):             # films are longer than what it was made for
            pixels = pixels[np.linspace(0, len(pixels) - 1, count).round().astype(int)]
        return self.encoder.embedding(**{"video" if pixels.ndim == 4 else "image": pixels})


def grey() -> NDArray[np.uint8]:
    """A picture of nothing, for encoders that take one with every text."""
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Cosine of the angle between two vectors."""
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def frechet(made: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Fréchet distance between two sets [n, D] as normal distributions. The trace of the root of C C' is the sum of the
    singular values of A'ᵀ A, where C = A Aᵀ: n x n, or D x D where there are more items than numbers (thousands of
    draws of thousands of items would never end)."""
    if not (np.isfinite(made).all() and np.isfinite(real).all()):
        return math.nan
    parts = [(each - each.mean(0)) / math.sqrt(max(1, len(each) - 1)) for each in (made, real)]
    between = float(((made.mean(0) - real.mean(0)) ** 2).sum())
    spread = sum(float((part**2).sum()) for part in parts)
    parts = [np.linalg.qr(part, mode="r") if len(part) > part.shape[1] else part for part in parts]
    shared = float(np.linalg.svd(parts[0] @ parts[1].T, compute_uv=False).sum())
    return max(0.0, between + spread - 2 * shared)


def _sound(answer: Any, metric: str) -> NDArray[np.float32]:
    """A sound as one row of float32. NexusError for what is none: codes of a codec, words."""
    kind = getattr(answer, "dtype", None)
    if kind is None or "float" not in str(kind):
        what = f"{type(answer).__name__}" if kind is None else f"codes or numbers of {kind} {list(answer.shape)}"
        raise NexusError(
            f"{metric} compares sounds, and this model answers with {what}: decode them first (a codec's own loader "
            "does), or score the capability by another metric."
        )
    return numbers(answer).ravel().astype(np.float32)


def _pixels(made: Any, metric: str) -> NDArray[np.uint8]:
    """Pictures and films as they are kept here. NexusError for other numbers: 0.5 would be black."""
    pixels = np.asarray(made)
    if pixels.dtype != np.uint8:
        raise NexusError(
            f"{metric} judges pictures [H, W, 3] and films [F, H, W, 3] of uint8, and was given {pixels.dtype} "
            f"{list(pixels.shape)}."
        )
    return pixels
