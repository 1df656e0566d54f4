"""A good tower, and broken ones that the kit rejects with advice."""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from nexus_specs import Adapter, Decoder, Sample, content_key
from nexus_specs.testing import TowerTests

SIDE = 4


class Eye(torch.nn.Module):
    """Pixels to two latents, and a latent to two classes."""

    def __init__(self, width):
        super().__init__()
        self.enter = torch.nn.Linear(SIDE * SIDE, 2 * width)
        self.leave = torch.nn.Linear(width, 2)
        self.width = width

    def encode(self, pixels):
        return self.enter(pixels.flatten(1)).reshape(-1, 2, self.width)

    def decode(self, hidden, latents):
        return self.leave(hidden + latents.mean(1))


class Good:
    """Sees small grey images."""

    def __init__(self, rank=4):
        self.rank = rank

    def adapter(self, core, profiles):
        return Adapter(how="cross_attention", rank=self.rank, layers=(1,))

    def build(self, core, profiles):
        return Eye(core.largest_stack.widths[-1])

    def collate(self, samples):
        images = numpy.stack([sample.fields["image"][..., 0] for sample in samples])
        return {"pixels": torch.from_numpy(images).float() / 255}

    def config(self):
        return {"rank": self.rank}


class AllAdapter(Good):
    """Good too: no weights of its own."""

    def build(self, core, profiles):
        return None


class DictAdapter(Good):
    def adapter(self, core, profiles):
        return {"how": "lora"}


class UnknownAdapter(Good):
    def adapter(self, core, profiles):
        return Adapter(how="prefix", rank=4)


class LayerOutside(Good):
    def adapter(self, core, profiles):
        return Adapter(how="lora", rank=4, layers=(1, 7))


class RankZero(Good):
    def adapter(self, core, profiles):
        return Adapter(how="lora", rank=0)


class NotModule(Good):
    def build(self, core, profiles):
        return {"weight": torch.zeros(2)}


class OneModule(Good):
    eye = Eye(32)

    def build(self, core, profiles):
        return self.eye


class OwnGenerator(Good):
    seed = 0

    def build(self, core, profiles):
        OwnGenerator.seed += 1
        torch.manual_seed(OwnGenerator.seed)
        return super().build(core, profiles)


class Frozen(Good):
    def build(self, core, profiles):
        return super().build(core, profiles).requires_grad_(False)


class WrongWidth(Good):
    def build(self, core, profiles):
        return Eye(8)


class OneVector(Good):
    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.encode = lambda pixels: Eye.encode(eye, pixels)[:, 0]
        return eye


class Overflows(Good):
    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.encode = lambda pixels: Eye.encode(eye, pixels) / 0
        return eye


class Constant(Good):
    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.encode = lambda pixels: Eye.encode(eye, pixels) * 0.0
        return eye


class BatchNorm(Good):
    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.encode = lambda pixels: Eye.encode(eye, pixels - pixels.mean(0))
        return eye


class ScalarDecode(Good):
    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.decode = lambda hidden, latents: Eye.decode(eye, hidden, latents).sum(1)
        return eye


class Augments(Good):
    def collate(self, samples):
        return {"pixels": super().collate(samples)["pixels"] + torch.rand(SIDE, SIDE)}


class DropsRow(Good):
    def collate(self, samples):
        return {"pixels": super().collate(samples)["pixels"][:1]}


class TensorConfig(Good):
    def config(self):
        return {"rank": torch.tensor(4)}


class ForgetsRank(Good):
    def config(self):
        return {}

    def build(self, core, profiles):
        return Eye(core.largest_stack.widths[-1])


class OtherConfig(Good):
    def __init__(self, rank=4):
        super().__init__(rank + 1)


class HiddenSize(Good):
    sizes = iter(range(1, 1000))

    def build(self, core, profiles):
        eye = super().build(core, profiles)
        eye.extra = torch.nn.Linear(2, next(HiddenSize.sizes))
        return eye


class Speaks(Good):
    """Good too: its answers go through models of others, one beside this file and one on a hub."""

    declared = (
        Decoder(name="codec", source=str(Path(__file__).parent), licence="MIT"),
        Decoder(name="vocoder", source=f"acme/vocoder@{'0' * 40}", licence="MIT", parameters=9,
                sha256={"model.safetensors": "a" * 64}),
    )  # fmt: skip

    def decoders(self):
        return self.declared


class DictDecoder(Speaks):
    declared = ({"name": "codec"},)


class TwoOfOneName(Speaks):
    declared = (Speaks.declared[0], Speaks.declared[0])


class ShoutedDecoder(Speaks):
    declared = (replace(Speaks.declared[0], name="The Codec"),)


class UnlicensedDecoder(Speaks):
    declared = (replace(Speaks.declared[0], licence=" "),)


class UnpinnedDecoder(Speaks):
    declared = (replace(Speaks.declared[1], source="acme/vocoder"),)


class NoSuchDecoder(Speaks):
    declared = (replace(Speaks.declared[0], source="package:acme_none/codec"),)


class UncountedDecoder(Speaks):
    declared = (replace(Speaks.declared[1], parameters=0),)


class ShortDigest(Speaks):
    declared = (replace(Speaks.declared[1], sha256={"model.safetensors": "abc"}),)


class ForgottenDecoder(Speaks):
    def decoders(self):
        return self.declared[: self.rank - 4]

    def config(self):
        return {"rank": 5}

    def adapter(self, core, profiles):
        return Adapter(how="cross_attention", rank=6)


BROKEN = [
    (DictAdapter, "Return a nexus_specs.Adapter"),
    (UnknownAdapter, "Allowed: lora, cross_attention"),
    (LayerOutside, "Clip to the core"),
    (RankZero, "Keep it between 1 and the width"),
    (NotModule, "Return a torch module or None"),
    (OneModule, "tower and control train apart"),
    (OwnGenerator, "Draw weights from torch's global generator alone"),
    (Frozen, "Leave `requires_grad` on"),
    (WrongWidth, "D the width of the core"),
    (OneVector, "Return [B, n, D]"),
    (Overflows, "Normalise the input"),
    (Constant, "No gradient reaches the module"),
    (BatchNorm, "use layer or group norm"),
    (ScalarDecode, "one value for each class"),
    (Augments, "Draw nothing at random"),
    (DropsRow, "Give one row for each sample"),
    (TensorConfig, "which JSON does not keep"),
    (ForgetsRank, "has another adapter"),
    (OtherConfig, "Return every option that it was made with"),
    (HiddenSize, "a release has no teacher to ask"),
    (DictDecoder, "Give nexus_specs.Decoder"),
    (TwoOfOneName, "Name each once"),
    (ShoutedDecoder, "Use small letters, digits"),
    (UnlicensedDecoder, "a release says it of each"),
    (UnpinnedDecoder, "by its commit: owner/name@COMMIT"),
    (NoSuchDecoder, "neither here nor pinned"),
    (UncountedDecoder, "a release counts them"),
    (ShortDigest, "64 hexadecimal digits"),
    (ForgottenDecoder, "declares other decoders"),
]


def images(count=3):
    fields = [{"image": numpy.full((SIDE, SIDE, 1), 40 * number + 9, dtype=numpy.uint8)} for number in range(count)]
    return [Sample(key=content_key(each), fields=each) for each in fields]


def made(suite, component):
    return suite(TowerTests, component, samples=lambda self: images(), options={"rank": 6})


@pytest.mark.parametrize("component", [Good, AllAdapter, Speaks])
def test_good_tower_is_accepted(component, suite, accepted):
    accepted(made(suite, component))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_tower_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)


def test_module_without_samples_is_told(suite, rejected):
    rejected(suite(TowerTests, Good), "Give `samples()` that it can perceive")
