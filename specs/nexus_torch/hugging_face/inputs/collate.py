"""Samples to tensors, through the checkpoint's own tokenizer or processor; without torchvision and torchaudio."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample
from nexus_specs.installed import STOPS

from nexus_torch.padding import Collated

from ..folder import configuration
from ..text.chatting import converses, rendered
from ..text.decoding import TARGET, decoder_inputs
from ..text.languages import languages, spoken
from ..text.panics import hushed
from ..text.texts import Texts
from . import alike, processor
from .hearing import check_rate, tell_cut
from .picturing import SEVERAL, in_order, picture, pictures, spread
from .ready import likeness, ready


class Preprocessor(Texts):
    """What turns the samples of one checkpoint into arguments of its forward."""

    generation: Mapping[str, Any] = {}
    """What the checkpoint says of its answers, as generation_config.json names it."""
    alone = False
    """Whether every sample is a batch of its own."""
    padded_with: int | None = None
    """The token for padding by which a head that judges a text finds its last token."""
    counted: int | None = None
    """The token that a head looks for, which can be no padding then."""
    rereads = False
    """Whether a decoder is given the text once more by the forward itself, where a sample has no target."""
    frames = 0
    """How many frames of a film it sees; 0: all."""
    patch = 0
    """Pixels of a patch's side of a model that would hide patches by chance; 0: it does not."""

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
        samples = [self._told(self._named(sample)) for sample in samples]
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
            has = ", ".join(sorted({name for each in samples for name, value in each.fields.items()
                                    if value is not None})) or "nothing"  # fmt: skip
            raise NexusError(
                f"'{self.home.name}' takes {' or '.join(self.takes)}, but the samples have only: {has}. "
                "Map the columns in the registry: data.NAME.options.columns."
            )
        with spoken(samples, lambda: self.tokenizer, self.home.name):
            for part in self._parts(samples, present, batch):
                batch.update({name: part[name] for name in part if name not in (*batch, "labels")})      # no loss of it
                batch.side |= part.side
        return self._fitting(batch)

    def likeness(self, sample: Sample) -> tuple[Any, ...]:
        """Equal for samples that may be one batch: with the same modalities and the same ready arguments, sounds of one
        length, pictures of one size."""
        return (self.modalities(sample), languages(sample), *likeness(sample, self.arguments), *self._sizes(sample),
                self.rereads and _aims(sample), *((sample.key,) if self._alone(sample) else ()))  # fmt: skip

    def _sizes(self, sample: Sample) -> tuple[Any, ...]:
        """Of what would be padded."""
        fields, kinds = self._named(sample).fields, self.modalities(sample)
        if "audio" in kinds:
            if alike.chosen(self.feature_extractor):
                return (sample.key,)
            return alike.sound(fields["audio"], None if self._together(kinds) else self.feature_extractor)
        gridded = any("grid" in name for name in self.arguments)
        return alike.picture(fields["image"], self.image_processor) if kinds == ("image",) and not gridded else ()

    def _alone(self, sample: Sample) -> bool:
        """Whether a sample is a batch of its own, since nothing says how its text would be padded, or the tokenizer
        pads with another token than a head takes for padding: that one would be the last that it sees."""
        text = self.takes == ("text",) and not self.generative and sample.fields.get("text") is not None
        if self.alone or not text or "input_ids" in sample.fields:
            return self.alone
        pad = self.tokenizer.pad_token_id
        return pad is None or pad == self.counted or self.padded_with not in (None, pad)

    def modalities(self, sample: Sample) -> tuple[str, ...]:
        """What of a sample the checkpoint takes: samples of a batch have the same. An empty cell of a table is
        nothing."""
        fields = self._named(sample).fields
        return tuple(
            name for name in self.takes if fields.get(name) is not None or (name == "text" and converses(sample))
        )

    def _told(self, sample: Sample) -> Sample:
        """A conversation as the text that the tokenizer's template makes of it."""
        if "text" not in self.takes or not converses(sample):
            return sample
        shown = {kind: 1 for kind in self.modalities(sample) if kind in processor.PLACES}
        if "image" in shown:
            shown["image"] = len(pictures(sample.fields["image"], self.channels))
        text = rendered(sample, self.tokenizer, self.home.name, shown)
        return Sample(key=sample.key, fields={**sample.fields, "text": text}, domain=sample.domain)

    def _named(self, sample: Sample) -> Sample:
        """A sample of several pictures, as data sets of conversations call them, under the name of one."""
        fields = sample.fields
        if "image" not in self.takes or SEVERAL not in fields or "image" in fields or SEVERAL in self.arguments:
            return sample
        return Sample(key=sample.key, fields={**fields, "image": fields[SEVERAL]}, domain=sample.domain)

    def _parts(self, samples: Sequence[Sample], present: Sequence[str], batch: Collated) -> Iterator[Collated]:
        makers: Mapping[str, Callable[[Sequence[Sample]], Collated]] = {
            "text": self.text, "image": self.images, "audio": self.sounds, "video": self.films,
        }  # fmt: skip
        if self._together(present):
            yield self.together(samples, present)
        else:
            yield from (makers[name](samples) for name in present)
        again = self.rereads and ("text" in present or "input_ids" in batch) and not any(map(_aims, samples))
        if self.decoder_start is not None and "decoder_input_ids" not in batch and not again:
            limit = 1 if self.transduces else self.context
            start, channels = self.decoder_start, self.channels_out
            yield self.guarded(lambda: decoder_inputs(samples, lambda: self.tokenizer, start, limit, channels))

    def _completed(self, samples: Sequence[Sample], present: Sequence[str]) -> list[Sample]:
        """Samples with something for the encoder that they have nothing for: no words, a grey picture, silence."""
        bare = "text" not in present and not len(self._cut(lambda made: made(""))["input_ids"])
        words, grey = "a" if bare else "", np.full((32, 32, 3), 128, np.uint8)
        empty: dict[str, Any] = {"text": words, "image": grey, "audio": np.zeros(16000)}
        more = {name: empty[name] for name in self.takes if name not in present}
        return [Sample(key=each.key, fields={**more, **each.fields}, domain=each.domain) for each in samples]

    def _together(self, present: Sequence[str]) -> bool:
        """Whether one processor makes all of it: texts with places for what is seen or heard."""
        if len(present) < 2 and not ("text" in self.takes and self.generative and present not in ([], ["text"])):
            return False
        return processor.processor_class(self.home, str(configuration(str(self.home)).get("model_type"))) is not None

    def _fitting(self, batch: Collated) -> Collated:
        """Only what the forward takes: extractors give masks that some models do without. Where a text's own is none of
        it (xLSTM), it still says which states are of padding."""
        if self.arguments and not self.arguments.isdisjoint(batch):
            if "input_ids" in batch and "attention_mask" in batch and "attention_mask" not in self.arguments:
                batch.side["mask"] = batch["attention_mask"].bool()
            for name in [name for name in batch if name not in self.arguments]:
                del batch[name]
        if self.patch and "pixel_values" in batch:
            batch["noise"] = in_order(batch["pixel_values"], self.patch)
        if "sample" in self.arguments:
            batch["sample"] = False                         # no noise on the latents: what is observed is one thing
        return batch

    def together(self, samples: Sequence[Sample], present: Sequence[str]) -> Collated:
        """Text and what belongs to it, with places for images and sounds before the text where it names none."""
        made, media = self.processor, [name for name in present if name != "text"]
        processor.check_parts(made, media, self.home.name)
        inputs: dict[str, Any] = {}
        if "image" in media:
            inputs["images"] = [pictures(sample.fields["image"], self.channels) for sample in samples]
        if "video" in media:
            inputs["videos"] = [[np.asarray(sample.fields["video"])] for sample in samples]
        if "audio" in media:
            inputs["audio"] = [self._wave(sample) for sample in samples]
        counts = [{name: len(inputs["images"][at]) if name == "image" else 1 for name in media}
                  for at in range(len(samples))]  # fmt: skip
        if "image" in media and self.writes:
            counts = [{name: many for name, many in each.items() if name != "image"} for each in counts]
        texts = [processor.with_places(made, str(sample.fields.get("text") or ""), count)
                 for sample, count in zip(samples, counts, strict=True)]  # fmt: skip
        cut = {"truncation": True, "max_length": self.context} if self.paired and self.context else {}
        padding: dict[str, Any] = {"padding": True, **cut} if not self._pads_whole else self._whole
        padding["padding_side"] = "right"
        if self.paired and "audio" in media:                # an extractor has a padding and a truncation of its own
            padding = {"text_kwargs": padding}
        try:
            with hushed(risk=self.risk), alike.drawn():
                found = made(text=texts, **inputs, **padding, return_tensors="pt")
        except (NexusError, *STOPS):
            raise
        except BaseException as error:                      # a tokenizer's panic, too
            text = " ".join(str(error).split())[:300]
            raise NexusError(f"The processor of '{self.home.name}' refuses these samples: {text}") from error
        processor.check_kept(found, [kind for kind in media if kind == "video"], self.home.name)
        return Collated(found)

    def images(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [H, W, C] each -> pixel_values [B, C, H, W]."""
        found = [pictures(sample.fields["image"], self.channels) for sample in samples]
        if several := next((sample for sample, each in zip(samples, found, strict=True) if len(each) > 1), None):
            raise NexusError(
                f"The sample '{several.key}' has several pictures, and '{self.home.name}' takes one a sample. Give "
                "each a row of its own."
            )
        images = [each[0] for each in found]
        return Collated(self.image_processor(images, return_tensors="pt"))

    def films(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [T, H, W, C] each -> pixel_values [B, T, C, H, W]."""
        films = [[picture(frame, self.channels) for frame in spread(sample.fields["video"], self.frames)]
                 for sample in samples]  # fmt: skip
        return Collated(self.image_processor(films, return_tensors="pt"))

    def sounds(self, samples: Sequence[Sample]) -> Collated:
        """float32 [N] each, at the rate that the extractor expects."""
        extractor = self.feature_extractor
        pads = inspect.signature(extractor.__call__).parameters.get("padding")
        more = {"padding": True} if pads is not None and not pads.default else {}
        waves = [self._wave(sample) for sample in samples]
        tell_cut(waves, extractor, self.home.name)
        with alike.drawn():
            return Collated(extractor(waves, sampling_rate=extractor.sampling_rate, return_tensors="pt", **more))

    def _wave(self, sample: Sample) -> Any:
        """float32 [N] of one sample."""
        check_rate(sample, int(self.feature_extractor.sampling_rate), self.home.name)
        return alike.wave(sample.fields["audio"], sample, self.home.name)


def _said(kind: tuple[str, ...]) -> str:
    return " and ".join(kind) or "nothing that it takes"


def _aims(sample: Sample) -> bool:
    """Whether a decoder has a text of its own to read."""
    return isinstance(sample.fields.get(TARGET), str)
