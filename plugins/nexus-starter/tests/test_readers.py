"""The generated data: frozen, disjoint, a tenth labelled; and the readers that give them."""

from __future__ import annotations

import hashlib
from types import ModuleType

import pytest
from nexus_specs.testing import ReaderTests
from nexus_starter import motion, plugin, tones
from nexus_starter.readers import Generated, KeypadTones, MovingDigits

READERS = [KeypadTones(), MovingDigits()]
FROZEN = {"tones": "c5627841f3e69cfa", "motion": "5f9534f909be4fd8"}


class TestKeypadTones(ReaderTests):
    plugin = plugin
    name = "keypad-tones"

    def component(self) -> KeypadTones:
        return KeypadTones(count=40)


class TestMovingDigits(ReaderTests):
    plugin = plugin
    name = "moving-digits"

    def component(self) -> MovingDigits:
        return MovingDigits(count=40)


@pytest.mark.parametrize("generator", [tones, motion])
def test_clips_are_frozen(generator: ModuleType) -> None:
    digest = hashlib.sha256()
    for part in generator.PARTS:
        for index in (0, 1, 17, 4999):
            media, label = generator.clip(part, index)
            digest.update(media.tobytes() + bytes([label]))
    name = generator.__name__.rpartition(".")[2]
    assert digest.hexdigest()[:16] == FROZEN[name]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.domain)
def test_a_tenth_of_every_class_is_labelled(reader: Generated) -> None:
    classes, rounds = reader.classes(), 200
    known = [index % classes for index in range(classes * rounds) if reader.is_labelled(index)]
    assert [known.count(label) for label in range(classes)] == [rounds // 10] * classes


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.domain)
def test_labels_are_hidden_in_the_transfer_part_alone(reader: Generated) -> None:
    second_round = reader.classes()
    assert "label" not in reader.sample("train", second_round).fields
    assert reader.sample("held_out", second_round).fields["label"] == 0


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.domain)
def test_the_fingerprint_follows_part_and_options(reader: Generated) -> None:
    others = [type(reader)(count=7), type(reader)(labelled=0.2)]
    found = {other.fingerprint("train") for other in others} | {reader.fingerprint("held_out")}
    assert len(found | {reader.fingerprint("train")}) == 4
    assert reader.fingerprint("train") == type(reader)().fingerprint("train")


def test_moving_digits_of_two_parts_share_no_sprite() -> None:
    teacher, development, held_out = (
        {sprite.tobytes() for sprite in motion.sprites(part)} for part in ("teacher", "development", "held_out")
    )
    assert not held_out & (teacher | development)
    assert not development & teacher


def test_the_transfer_part_may_have_a_size_of_its_own() -> None:
    reader = MovingDigits(transfer=26)
    lengths = {split: reader.length(split) for split in ("train", "development", "held_out")}
    assert lengths == {"train": 26, "development": 800, "held_out": 2000}
    assert reader.fingerprint("train") != MovingDigits().fingerprint("train")
    assert reader.fingerprint("held_out") == MovingDigits().fingerprint("held_out")
