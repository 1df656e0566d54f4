"""Checks of readers: the same samples in the same order, keyed by content, in parts that share nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

from ..components import Split
from ..data import Reader, Sample, content_key
from ..work import NexusError
from .base import ComponentTests
from .values import shape

SPLITS: tuple[Split, ...] = ("train", "development", "held_out")
SHAPES: Mapping[str, tuple[str, int, str]] = {
    "image": ("uint8", 3, "[H, W, C]"),
    "audio": ("float32", 1, "[N]"),
    "video": ("uint8", 4, "[T, H, W, C]"),
}


def check_samples(reader: Reader, splits: Sequence[Split]) -> None:
    """Each part gives samples, whose fields have the types of the contract."""
    for split in splits:
        samples = list(reader.samples(split))
        assert samples, (
            f"The part '{split}' gave no sample. Give the test data enough rows, or leave the part out of `splits`."
        )
        for sample in samples:
            assert isinstance(sample, Sample), (
                f"samples('{split}') gave a {type(sample).__name__}. Yield nexus_specs.Sample(key=…, fields=…)."
            )
            _check_fields(sample)


def _check_fields(sample: Sample) -> None:
    fields = sample.fields
    assert isinstance(fields.get("text", ""), str), "The field 'text' is no str. Decode it (UTF-8) in the reader."
    for name, (dtype, dimensions, letters) in SHAPES.items():
        if name in fields:
            found = (str(getattr(fields[name], "dtype", type(fields[name]).__name__)), len(shape(fields[name])))
            assert found == (dtype, dimensions), (
                f"The field '{name}' is {found[0]} with {found[1]} dimensions. Give an array of {dtype} {letters}."
            )
    assert "audio" not in fields or "rate" in fields, "The field 'audio' has no 'rate'. Add the samples per second."
    label = fields.get("label", 0)
    assert isinstance(label, (int, str)), (
        f"The field 'label' is {type(label).__name__}. Give an int or a str, and leave it out where it is unknown."
    )


def check_keys(reader: Reader, splits: Sequence[Split]) -> None:
    """A key is the hash of the content, so that equal rows are one item and a cache survives a new order."""
    for split in splits:
        for sample in reader.samples(split):
            assert sample.key == content_key(sample.fields), (
                f"A key of '{split}' is '{sample.key}'. Use `content_key(fields)`, never a position or a path: "
                f"everything later is found by it."
            )


def check_order(reader: Reader, again: Reader, splits: Sequence[Split]) -> None:
    """The same samples in the same order, also from a second reader."""
    for split in splits:
        first = [sample.key for sample in reader.samples(split)]
        for other in (reader, again):
            assert [sample.key for sample in other.samples(split)] == first, (
                f"samples('{split}') gave another order or other samples the second time. "
                f"Sort files by name, seed what is drawn, and keep no iterator in the reader."
            )


def check_start(reader: Reader, splits: Sequence[Split]) -> None:
    """`start` skips so many samples: a stopped run goes on from there."""
    for split in splits:
        keys = [sample.key for sample in reader.samples(split)]
        for start in sorted({0, 1, len(keys) - 1, len(keys)} - {-1}):
            found = [sample.key for sample in reader.samples(split, start)]
            assert found == keys[start:], (
                f"samples('{split}', start={start}) gave {len(found)} samples, not the last {len(keys) - start} of "
                f"{len(keys)}. Skip exactly `start` samples, and give none when it is the length."
            )


def check_fingerprint(reader: Reader, again: Reader, splits: Sequence[Split], changed: Reader | None = None) -> None:
    """Equal data, equal fingerprint; other data, another one."""
    found = [reader.fingerprint(split) for split in splits]
    assert all(isinstance(value, str) and value for value in found), "A fingerprint is not a str. Return a hex digest."
    assert found == [again.fingerprint(split) for split in splits], (
        "Two readers of the same data have different fingerprints. Hash content and options alone: no time, no id, "
        "no path, no `hash()` (it changes with each process)."
    )
    assert len(set(found)) == len(found), "Two parts have one fingerprint. Hash the name of the part too."
    if changed is not None:
        for split, before in zip(splits, found, strict=True):
            assert changed.fingerprint(split) != before, (
                f"The fingerprint of '{split}' is the same for other content. Hash what is read (the bytes of the "
                f"files and the options), or stale results would be taken for good ones."
            )


def check_parts(reader: Reader, splits: Sequence[Split]) -> None:
    """No sample is in two parts: what is judged was not learned from."""
    keys = {split: {sample.key for sample in reader.samples(split)} for split in splits}
    for one, other in combinations(splits, 2):
        shared = keys[one] & keys[other]
        assert not shared, (
            f"{len(shared)} samples are in '{one}' and in '{other}'. Divide by a hash of `source` (else of the key), "
            f"so that one item is in one part alone."
        )


def check_unknown_part(reader: Reader) -> None:
    """A part that does not exist is refused in words."""
    unknown: Any = "no_such_part"
    try:
        list(reader.samples(unknown))
    except NexusError:
        return
    except Exception as error:
        raise AssertionError(
            f"An unknown part raised {type(error).__name__}. Raise a NexusError that names the parts there are."
        ) from error
    raise AssertionError("An unknown part gave samples or nothing. Raise a NexusError that names the parts there are.")


class ReaderTests(ComponentTests):
    """A reader, over a little data that the test writes or the plugin brings."""

    kind = "reader"
    splits: ClassVar[tuple[Split, ...]] = SPLITS

    def changed(self) -> Reader | None:
        """A reader of the same options over other content, if the test can make one."""
        return None

    def test_samples_have_the_fields_of_the_contract(self) -> None:
        check_samples(self.component(), self.splits)

    def test_keys_are_content(self) -> None:
        check_keys(self.component(), self.splits)

    def test_order_is_the_same_each_time(self) -> None:
        check_order(self.component(), self.component(), self.splits)

    def test_start_skips(self) -> None:
        check_start(self.component(), self.splits)

    def test_fingerprint_follows_the_content(self) -> None:
        check_fingerprint(self.component(), self.component(), self.splits, self.changed())

    def test_parts_share_no_sample(self) -> None:
        check_parts(self.component(), self.splits)

    def test_unknown_part_is_refused(self) -> None:
        check_unknown_part(self.component())
