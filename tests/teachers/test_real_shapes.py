"""PersonaPlex with the shapes of the real file: described from its header alone, every one of its tensors placed.

The shapes are those of the header of nvidia/personaplex-7b-v1 (475 tensors in bfloat16, 16,742,874,000 bytes), beside
the config.json of the repository, which says nothing but the model type. The files here are holes: no number is in
them.
"""

import json
import math

import pytest
import torch
import transformers as hf
from nexus_family_personaplex.architecture import PersonaPlex
from nexus_family_personaplex.layout import MIMI, MODEL
from tiny_teachers.duplex import mimi_names

WIDE, FEED, LAYERS, DEPTH, DEPTH_FEED, STEPS, STREAMS, WORDS, CODES = 4096, 11264, 32, 1024, 2816, 16, 16, 32000, 2048
FILE, HEADER = 16_742_874_000, 100_000
"""Bytes of the real file; and the most that its header takes."""


def shapes():
    """Name -> shape of every tensor."""
    found = {"text_emb.weight": (WORDS + 1, WIDE), "text_linear.weight": (WORDS, WIDE), "out_norm.alpha": (1, 1, WIDE),
             "depformer_text_emb.weight": (WORDS + 1, DEPTH)}  # fmt: skip
    found |= {f"emb.{at}.weight": (CODES + 1, WIDE) for at in range(STREAMS)}
    found |= {f"depformer_emb.{at}.weight": (CODES + 1, DEPTH) for at in range(STEPS - 1)}
    found |= {f"depformer_in.{at}.weight": (DEPTH, WIDE) for at in range(STEPS)}
    found |= {f"linears.{at}.weight": (CODES, DEPTH) for at in range(STEPS)}
    for at in range(LAYERS):
        put = f"transformer.layers.{at}"
        found |= {f"{put}.self_attn.in_proj_weight": (3 * WIDE, WIDE), f"{put}.self_attn.out_proj.weight": (WIDE, WIDE),
                  f"{put}.gating.linear_in.weight": (2 * FEED, WIDE), f"{put}.gating.linear_out.weight": (WIDE, FEED),
                  f"{put}.norm1.alpha": (1, 1, WIDE), f"{put}.norm2.alpha": (1, 1, WIDE)}  # fmt: skip
    for at in range(6):
        put = f"depformer.layers.{at}"
        found |= {f"{put}.self_attn.in_proj_weight": (STEPS * 3 * DEPTH, DEPTH), f"{put}.norm1.alpha": (1, 1, DEPTH),
                  f"{put}.self_attn.out_proj.weight": (STEPS * DEPTH, DEPTH), f"{put}.norm2.alpha": (1, 1, DEPTH)}
        for step in range(STEPS):
            found[f"{put}.gating.{step}.linear_in.weight"] = (2 * DEPTH_FEED, DEPTH)
            found[f"{put}.gating.{step}.linear_out.weight"] = (DEPTH, DEPTH_FEED)
    return found


def numbers():
    return sum(math.prod(shape) for shape in shapes().values())


def hollow(path, named, dtype, size):
    """A safetensors file whose header is whole and whose numbers are a hole in the disk."""
    header, at = {}, 0
    for name, shape in named.items():
        end = at + size * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + at)


@pytest.fixture
def repository(tmp_path):
    hollow(tmp_path / MODEL, shapes(), "BF16", 2)
    with torch.device("meta"):
        mimi = hf.MimiModel(hf.MimiConfig())
    named = {name: tuple(tensor.shape) for name, tensor in mimi_names(mimi).items()}
    hollow(tmp_path / MIMI, named, "F32", 4)
    (tmp_path / "config.json").write_text('{"model_type": "personaplex", "version": "7b-v1"}')
    return tmp_path


def test_its_shapes_are_the_published_ones():
    assert len(shapes()) == 475
    assert 0 < FILE - 2 * numbers() < HEADER


def test_personaplex_is_described_from_its_header(repository):
    checkpoint = PersonaPlex().open(str(repository), None)
    blueprint = checkpoint.blueprint
    placed = {extent.key for part in checkpoint.parts for extent in part.extents}
    assert set(shapes()) <= placed
    mimi = sum(each.numel() for name, each in checkpoint.bare().named_parameters() if name.startswith("audio_encoder."))
    assert blueprint.parameters - mimi == numbers()
    assert {stack.path: stack.count for stack in blueprint.stacks if "audio_encoder" not in stack.path} == {
        "decoder.model.layers": LAYERS, "depth_decoder.layers": 6}  # fmt: skip
