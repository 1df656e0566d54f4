"""Samples to tensors, through the checkpoint's own tokenizer or processor; without torchvision and torchaudio."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, AutoVideoProcessor

from nexus_torch.padding import Collated
from nexus_torch.text import start_token, tokenise

from . import processor
from .configuration import told
from .decoding import decoder_inputs
from .folder import configuration
from .named import check_classes
from .panics import hushed
from .ready import likeness, ready
from .vocabulary import VOCABULARIES, check_tokenizer

FULL_LENGTH = frozenset({"siglip", "siglip2"})
"""Model types that see the padding of a text."""


class Preprocessor:
    """What turns the samples of one checkpoint into arguments of its forward."""

    risk = False
    """Whether a regular expression of its tokenizer may go on without end."""

    def __init__(
        self, home: Path, takes: Sequence[str], *, generative: bool, context: int, channels: int,
        arguments: frozenset[str] = frozenset(), decoder_start: int | None = None, transduces: bool = False,
        channels_out: int = 1, paired: bool = False,
    ) -> None:  # fmt: skip
        """`arguments` are those of the forward; `decoder_start` is the token that a decoder beside an encoder begins
        with, None where there is none; `channels_out` the rows that it takes for one sample; `paired`: two
        encoders side by side, of text and of something else, whose forward wants both."""
        self.home, self.takes, self.arguments = home, tuple(takes), arguments
        self.generative, self.context, self.channels = generative, context, channels
        self.decoder_start, self.transduces, self.channels_out = decoder_start, transduces, channels_out
        self.paired = paired

    def __call__(self, samples: Sequence[Sample]) -> Collated:
        """The batch: of every modality that the checkpoint takes and the samples have."""
        batch = ready(samples, self.arguments)
        kinds = list(dict.fromkeys(map(self.modalities, samples)))
        if len(kinds) > 1:
            raise NexusError(
                f"One batch of '{self.home.name}' has samples with {' and others with '.join(map(_said, kinds))}: what "
                "some of them have would be lost. Put those with the same fields together."
            )
        present = list(kinds[0])
        if self.paired and len(present) == 1 and not batch:
            samples, (batch.side["stands_in"],) = self._completed(samples, present), set(self.takes) - set(present)
            present = list(self.takes)
        if not present and not batch:
            has = ", ".join(sorted({name for sample in samples for name in sample.fields}))
            raise NexusError(
                f"'{self.home.name}' takes {' or '.join(self.takes)}, but the samples have only: {has}. "
                "Map the columns in the registry: data.NAME.options.columns."
            )
        for part in self._parts(samples, present, batch):
            batch.update({name: value for name, value in part.items() if name not in batch})
            batch.side |= part.side
        return self._fitting(batch)

    def likeness(self, sample: Sample) -> tuple[Any, ...]:
        """Equal for samples that may be one batch: with the same modalities and the same ready arguments."""
        return (self.modalities(sample), *likeness(sample, self.arguments))

    def modalities(self, sample: Sample) -> tuple[str, ...]:
        """What of a sample the checkpoint takes: samples of a batch have the same."""
        return tuple(name for name in self.takes if name in sample.fields)

    def _parts(self, samples: Sequence[Sample], present: Sequence[str], batch: Collated) -> Iterator[Collated]:
        makers: Mapping[str, Callable[[Sequence[Sample]], Collated]] = {
            "text": self.text, "image": self.images, "audio": self.sounds, "video": self.films,
        }  # fmt: skip
        if self._together(present):
            yield self.together(samples, present)
        else:
            yield from (makers[name](samples) for name in present)
        if self.decoder_start is not None and "decoder_input_ids" not in batch:
            limit = 1 if self.transduces else self.context
            start, channels = self.decoder_start, self.channels_out
            yield self._guarded(lambda: decoder_inputs(samples, lambda: self.tokenizer, start, limit, channels))

    def _completed(self, samples: Sequence[Sample], present: Sequence[str]) -> list[Sample]:
        """Samples with something for the encoder that they have nothing for: no words, a grey picture, silence."""
        empty: dict[str, Any] = {"text": "", "image": np.full((32, 32, 3), 128, np.uint8), "audio": np.zeros(16000)}
        more = {name: empty[name] for name in self.takes if name not in present}
        return [Sample(key=each.key, fields={**more, **each.fields}, domain=each.domain) for each in samples]

    def _together(self, present: Sequence[str]) -> bool:
        """Whether one processor makes all of it: texts with places for what is seen or heard."""
        if len(present) < 2 and not ("text" in self.takes and self.generative and present not in ([], ["text"])):
            return False
        return processor.processor_class(self.home, str(configuration(str(self.home)).get("model_type"))) is not None

    def _fitting(self, batch: Collated) -> Collated:
        """Only what the forward takes: extractors give masks that some models do without."""
        if self.arguments and not self.arguments.isdisjoint(batch):
            for name in [name for name in batch if name not in self.arguments]:
                del batch[name]
        if "sample" in self.arguments:
            batch["sample"] = False                         # no noise on the latents: what is observed is one thing
        return batch

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer. Some classes make an empty one where there are no files: that is none."""
        if not any((self.home / name).is_file() for name in VOCABULARIES):
            raise NexusError(
                f"'{self.home}' has no tokenizer.json, nor any other vocabulary. Put the tokenizer's files of the "
                "checkpoint beside its weights."
            )
        self.risk = check_tokenizer(self.home)
        return self._load(AutoTokenizer, "tokenizer.json", **told(self.home))

    @cached_property
    def image_processor(self) -> Any:
        """The image processor, in its version for Pillow."""
        return self._load(AutoImageProcessor, "preprocessor_config.json", backend="pil")

    @cached_property
    def feature_extractor(self) -> Any:
        """The feature extractor for sound."""
        return self._load(AutoFeatureExtractor, "preprocessor_config.json")

    @cached_property
    def processor(self) -> Any:
        """What makes one input of several modalities."""
        makers = {"tokenizer": "tokenizer", "image_processor": "image_processor",
                  "feature_extractor": "feature_extractor", "audio_processor": "feature_extractor"}  # fmt: skip

        def part(name: str) -> Any:
            if name == "video_processor":
                return self._load(AutoVideoProcessor, "video_preprocessor_config.json")
            if name not in makers:
                raise NexusError(f"The processor of '{self.home.name}' wants a part '{name}' that is not known here.")
            return getattr(self, makers[name])

        return processor.load(self.home, part)

    def together(self, samples: Sequence[Sample], present: Sequence[str]) -> Collated:
        """Text and what belongs to it, with places for images and sounds before the text where it names none."""
        made, media = self.processor, [name for name in present if name != "text"]
        inputs: dict[str, Any] = {}
        if "image" in media:
            inputs["images"] = [[_picture(sample.fields["image"], self.channels)] for sample in samples]
        if "video" in media:
            inputs["videos"] = [[np.asarray(sample.fields["video"])] for sample in samples]
        if "audio" in media:
            inputs["audio"] = [self._wave(sample) for sample in samples]
        counts = dict.fromkeys(media, 1)
        texts = [processor.with_places(made, str(sample.fields.get("text", "")), counts) for sample in samples]
        padding = {"padding": True} if not self._pads_whole else self._whole
        try:
            with hushed(risk=self.risk):
                found = made(text=texts, **inputs, **padding, return_tensors="pt", padding_side="right")
        except (NexusError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:                      # a tokenizer's panic, too
            text = " ".join(str(error).split())[:300]
            raise NexusError(f"The processor of '{self.home.name}' refuses these samples: {text}") from error
        return Collated(found)

    def text(self, samples: Sequence[Sample]) -> Collated:
        """A start token and right padding for decoders; the tokenizer's own special tokens for the rest."""
        texts = [str(sample.fields["text"]) for sample in samples]
        if self._pads_whole:
            return Collated(self._cut(lambda words: words(texts, return_tensors="pt", **self._whole)))
        if not self.generative or self.decoder_start is not None:
            limits = {"truncation": True, "max_length": self.context} if self.context else {}
            return Collated(self._cut(lambda words: words(texts, padding=True, return_tensors="pt", **limits)))
        found = self._cut(lambda words: tokenise(words, texts, start=start_token(words), limit=self.context))
        return Collated({"input_ids": found.ids, "attention_mask": found.mask.long()}, spans=found.spans)

    @property
    def _pads_whole(self) -> bool:
        """Whether texts are as long as the context, as they were when the model learned (SigLIP has no mask)."""
        return str(configuration(str(self.home)).get("model_type")) in FULL_LENGTH and bool(self.context)

    @property
    def _whole(self) -> dict[str, Any]:
        return {"padding": "max_length", "max_length": self.context, "truncation": True}

    def lengths(self, samples: Sequence[Sample]) -> list[int] | None:
        """Tokens of each text, uncut; None for what is not text alone."""
        if self.takes != ("text",) or not all("text" in sample.fields for sample in samples):
            return None
        texts = [str(sample.fields["text"]) for sample in samples]
        encoded = self._cut(lambda words: words(texts, add_special_tokens=False, return_attention_mask=False))
        return [len(ids) for ids in encoded["input_ids"]]

    def _cut(self, cut: Callable[[Any], Any]) -> Any:
        """What the tokenizer makes of texts."""
        words = self.tokenizer
        return self._guarded(lambda: cut(words))

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """NexusError for whatever a tokenizer raises of texts: its files are a stranger's, and the library that reads
        them panics, too."""
        try:
            with hushed(risk=self.risk):
                return work()
        except (NexusError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            text = " ".join(str(error).split())[:300] or type(error).__name__
            raise NexusError(
                f"The tokenizer in '{self.home}' cannot cut these texts: {text}. Its files are damaged or of another "
                "model: fetch them from where the weights come from."
            ) from error

    def images(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [H, W, C] each -> pixel_values [B, C, H, W]."""
        images = [_picture(sample.fields["image"], self.channels) for sample in samples]
        return Collated(self.image_processor(images, return_tensors="pt"))

    def films(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [T, H, W, C] each -> pixel_values [B, T, C, H, W]."""
        films = [[_picture(frame, self.channels) for frame in sample.fields["video"]] for sample in samples]
        return Collated(self.image_processor(films, return_tensors="pt"))

    def sounds(self, samples: Sequence[Sample]) -> Collated:
        """float32 [N] each, at the rate that the extractor expects."""
        extractor = self.feature_extractor
        pads = inspect.signature(extractor.__call__).parameters.get("padding")
        more = {"padding": True} if pads is not None and not pads.default else {}
        waves = [self._wave(sample) for sample in samples]
        return Collated(extractor(waves, sampling_rate=extractor.sampling_rate, return_tensors="pt", **more))

    def _wave(self, sample: Sample) -> Any:
        """float32 [N] of one sample."""
        _check_rate(sample, int(self.feature_extractor.sampling_rate), self.home.name)
        return np.asarray(sample.fields["audio"], dtype=np.float32)

    def _load(self, kind: Any, file: str, **more: Any) -> Any:
        check_classes(self.home)
        try:
            return kind.from_pretrained(self.home, trust_remote_code=False, local_files_only=True, **more)
        except (NexusError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:                      # a missing file is anything from OSError to Rust's panic
            raise NexusError(
                f"'{self.home}' has no {file} that transformers can use here: {error}\n"
                "Put the preprocessor's files of the checkpoint beside its weights."
            ) from error


def _said(kind: tuple[str, ...]) -> str:
    return " and ".join(kind) or "nothing that it takes"


def _picture(pixels: Any, channels: int) -> Image.Image:
    """A picture with as many channels as the model takes: 1 or 3."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise NexusError(f"Images are uint8 [height, width, channels]; this one is {array.dtype} {array.shape}.")
    image = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    return image.convert("L" if channels == 1 else "RGB")


def _check_rate(sample: Sample, expected: int, name: str) -> None:
    rate = int(sample.fields.get("rate", expected))
    if rate != expected:
        raise NexusError(
            f"The audio of sample '{sample.key}' has {rate} Hz, '{name}' hears at {expected} Hz. "
            f"Let the reader resample: data.NAME.options.rate: {expected}."
        )
