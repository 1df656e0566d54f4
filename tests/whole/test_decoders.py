"""A stranger's tower whose answers go through a model of somebody else's, from a registry to a verified release.

A minute on one core: `pytest -m slow tests/whole -k decoder`.
"""

import json
import os
from textwrap import dedent

import pytest

pytestmark = pytest.mark.slow
PLUGIN = """
    from nexus_specs import TowerComponent, hookimpl

    @hookimpl
    def nexus_towers():
        yield TowerComponent(
            name="coded", target="acme_coded.tower:Coded", summary="Pictures to codes, and a codec's classes",
            takes=("image",), gives=("label",), metric="accuracy",
        )
"""
TOWER = """
    import torch
    from nexus_specs import Adapter, Decoder, locate
    from safetensors.torch import load_file
    from torch import nn

    CODEC = "package:acme_coded/codec"

    class Eye(nn.Module):
        def __init__(self, core):
            super().__init__()
            self.see = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.LayerNorm(96), nn.Linear(96, core))
            self.tell = nn.Linear(2 * core, 16)
            self.book = None

        def encode(self, pixels):
            return self.see(pixels.flatten(1))[:, None]

        def decode(self, hidden, latents):
            if self.book is None:
                self.book = load_file(locate(CODEC) / "model.safetensors")["book"]
            return self.tell(torch.cat([hidden.to(latents.dtype), latents.mean(1)], -1)) @ self.book

    class Coded:
        def adapter(self, core, profiles):
            return Adapter(how="cross_attention", rank=8)

        def build(self, core, profiles):
            return Eye(core.stacks[0].widths[0])

        def collate(self, samples):
            images = [torch.as_tensor(sample.fields["image"]).float() for sample in samples]
            return {"pixels": torch.stack([(each if each.ndim == 2 else each.mean(-1)) / 255 for each in images])}

        def config(self):
            return {}

        def decoders(self):
            return [Decoder(name="codec", source=CODEC, licence="CC0-1.0")]
"""
REGISTRY = """
    version: 1
    teachers:
      sensor:
        {source: package:nexus_starter/teachers/digits, capability: digits, tower: coded, metric: accuracy,
         data: frames, share: 0.5}
    towers:
      coded: {component: coded}
    student:
      options: {layers: 1, width: 48}
    losses:
      - {name: forward_kl, weight: 1.0, options: {temperature: 2.0}}
    data:
      frames:
        reader: parquet
        options:
          parts:
            train: package:nexus_starter/data/digits/train.parquet
            development: package:nexus_starter/data/digits/development.parquet
            held_out: package:nexus_starter/data/digits/held_out.parquet
    run:
      stages:
        train: {steps: 200}
"""


@pytest.fixture
def stranger(user):
    """A user who installed a plugin that brings a tower and a codec of somebody else's."""
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    site = user.folder / "site"
    package, info = site / "acme_coded", site / "acme_coded-1.0.dist-info"
    for folder in (package / "codec", info):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A tower of a stranger."""\n')
    (package / "plugin.py").write_text(dedent(PLUGIN))
    (package / "tower.py").write_text(dedent(TOWER))
    book = torch.linalg.qr(torch.randn(16, 10, generator=torch.Generator().manual_seed(1)))[0].contiguous()
    safetensors.save_file({"book": book}, package / "codec" / "model.safetensors")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-coded\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nexus.plugins]\nacme-coded = acme_coded.plugin\n")
    (user.folder / "registry.yaml").write_text(dedent(REGISTRY))
    user.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return user


def test_a_decoder_of_others_is_listed_counted_and_checked(stranger):
    out, _ = stranger.types("run", "--allow-below")
    assert "codec of coded (160 parameters)" in out
    manifest = json.loads((stranger.release / "manifest.json").read_text())
    (decoder,) = manifest["decoders"]
    assert (decoder["source"], decoder["licence"]) == ("package:acme_coded/codec", "CC0-1.0")
    assert manifest["parameters"]["decoders"] == decoder["parameters"] == 160
    assert manifest["capabilities"][0]["student_score"] > 0.5, "answers go through the codec"
    assert "codec of coded (160 parameters)" in stranger.types("show", stranger.release)[0]
    assert "needs codec (package:acme_coded/codec)" in stranger.types("tower", "list", stranger.release)[0]
    verified, _ = stranger.types("verify")
    assert "codec of coded (its files are those of the manifest)" in verified
    assert "Verified." in verified
    weights = stranger.folder / "site" / "acme_coded" / "codec" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    refused, _ = stranger.types("verify", code=1)
    assert "Decoder codec from package:acme_coded/codec: model.safetensors: changed." in refused
