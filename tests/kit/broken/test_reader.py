"""A good reader, and broken ones that the kit rejects with advice."""

import random
import uuid
from hashlib import sha256

import pytest
from nexus_specs import NexusError, Sample, content_key
from nexus_specs.testing import ReaderTests

PARTS = {"train": range(6), "development": range(6, 8), "held_out": range(8, 10)}


class Good:
    """Numbers as text."""

    def __init__(self, word="number"):
        self.word = word

    def numbers(self, split):
        if split not in PARTS:
            raise NexusError(f"There is no part '{split}'. Parts: {', '.join(PARTS)}.")
        return list(PARTS[split])

    def fingerprint(self, split):
        return sha256(f"{split}:{self.word}:{self.numbers(split)}".encode()).hexdigest()

    def fields(self, number):
        return {"text": f"{self.word} {number}", "label": number % 2}

    def key(self, fields):
        return content_key(fields)

    def samples(self, split, start=0):
        for number in self.numbers(split)[start:]:
            fields = self.fields(number)
            yield Sample(key=self.key(fields), fields=fields)


class Dictionaries(Good):
    def samples(self, split, start=0):
        yield from ({"text": sample.fields["text"]} for sample in super().samples(split, start))


class BytesForText(Good):
    def fields(self, number):
        return {"text": f"number {number}".encode()}

    def key(self, fields):
        return fields["text"].hex()


class ListForImage(Good):
    def fields(self, number):
        return {"image": [[number]]}


class NoRate(Good):
    def fields(self, number):
        import numpy

        return {"audio": numpy.full(4, number, dtype=numpy.float32)}


class FloatLabel(Good):
    def fields(self, number):
        return {"text": str(number), "label": float(number)}


class RandomKeys(Good):
    def key(self, fields):
        return uuid.uuid4().hex


class Shuffled(Good):
    def numbers(self, split):
        numbers = super().numbers(split)
        random.shuffle(numbers)
        return numbers


class OneIterator(Good):
    def __init__(self, word="number"):
        super().__init__(word)
        self.left = {split: list(Good.samples(self, split)) for split in PARTS}

    def samples(self, split, start=0):
        while self.left[split]:
            yield self.left[split].pop(0)


class IgnoresStart(Good):
    def samples(self, split, start=0):
        return super().samples(split)


class TimedFingerprint(Good):
    def fingerprint(self, split):
        return uuid.uuid4().hex


class OneFingerprint(Good):
    def fingerprint(self, split):
        return "same"


class BlindFingerprint(Good):
    def fingerprint(self, split):
        return sha256(split.encode()).hexdigest()


class Overlapping(Good):
    def numbers(self, split):
        return [*super().numbers(split), 0]


class AnyPart(Good):
    def numbers(self, split):
        return list(PARTS.get(split, ()))


class KeyErrorForPart(Good):
    def numbers(self, split):
        return list(PARTS[split])


class EmptyPart(Good):
    def numbers(self, split):
        return super().numbers(split) if split != "development" else []


BROKEN = [
    (Dictionaries, "Yield nexus_specs.Sample"),
    (BytesForText, "Decode it (UTF-8)"),
    (ListForImage, "Give an array of uint8 [H, W, C]"),
    (NoRate, "Add the samples per second"),
    (FloatLabel, "leave it out where it is unknown"),
    (RandomKeys, "Use `content_key(fields)`"),
    (Shuffled, "seed what is drawn"),
    (OneIterator, "keep no iterator in the reader"),
    (IgnoresStart, "Skip exactly `start` samples"),
    (TimedFingerprint, "Hash content and options alone"),
    (OneFingerprint, "Hash the name of the part too"),
    (BlindFingerprint, "stale results would be taken for good ones"),
    (Overlapping, "so that one item is in one part alone"),
    (AnyPart, "Raise a NexusError that names the parts"),
    (KeyErrorForPart, "Raise a NexusError that names the parts"),
    (EmptyPart, "leave the part out of `splits`"),
]


def made(suite, component):
    return suite(ReaderTests, component, changed=lambda self: component("other"))


def test_good_reader_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_reader_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)
