"""Vision towers in mmproj files: CLIP's and SigLIP's open, others are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files.metadata import metadata
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import model_of
from gguf_files.writing import put
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
ROWS = ("clip_vision", "siglip_vision")


def changed(row: str, path: Path, without: str = "", swapped: bool = False, **metadata_: Any) -> str:
    """The file of a row with other metadata, without some tensors, or with the two layers of its MLPs misnamed."""
    model = model_of(row)
    writer = gguf.GGUFWriter(path, "clip")
    for key, value in (metadata("clip", row, model.config) | metadata_).items():
        put(writer, f"clip.{key}", value)
    for name, tensor in stacked(converted("clip", row, model)).items():
        name = name.replace("ffn_up", "ffn_x").replace("ffn_down", "ffn_up").replace("ffn_x", "ffn_down") \
            if swapped else name
        if not without or without not in name:
            writer.add_tensor(name, np.ascontiguousarray(tensor.detach().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


@pytest.mark.parametrize("row", ROWS)
def test_a_tower_takes_images(row: str, written: Callable[..., Path], model: Any, loaded: Any) -> None:
    """Prepared by size, mean and deviation of the metadata; the states of the model itself."""
    checkpoint = Gguf()._checkpoint(str(written(row)))
    found = checkpoint.blueprint
    assert (found.head, found.takes, found.gives) == (type(model(row)).__name__, ("image",), ("embedding",))
    assert not found.missing
    batch = checkpoint.collate([Sample(key="x", fields={"image": PICTURE})])
    assert batch["pixel_values"].shape == (1, 3, 32, 32)
    mean = torch.tensor([0.5, 0.4, 0.3])[:, None, None]
    deviation = torch.tensor([0.3, 0.2, 0.1])[:, None, None]
    seen = batch["pixel_values"][0] * deviation + mean
    assert float(seen.min()) >= -1e-5
    assert float(seen.max()) <= 1 + 1e-5
    module, _ = loaded(checkpoint)
    with torch.no_grad():
        expected = model(row)(**batch).last_hidden_state
        torch.testing.assert_close(module(**batch).last_hidden_state, expected, rtol=0, atol=1e-6)


def test_the_oldest_files_name_the_layers_the_other_way_round(tmp_path: Path, model: Any, loaded: Any) -> None:
    _, tensors = loaded(Gguf()._checkpoint(changed("clip_vision", tmp_path / "mmproj.gguf", swapped=True)))
    for name, tensor in model("clip_vision").state_dict().items():
        torch.testing.assert_close(tensors[name], tensor)


def test_llava_leaves_out_the_last_norm(tmp_path: Path, loaded: Any) -> None:
    found = Gguf()._checkpoint(changed("clip_vision", tmp_path / "mmproj.gguf", without="post_ln"))
    module, _ = loaded(found)
    with torch.no_grad():
        output = module(**found.collate([Sample(key="x", fields={"image": PICTURE})]))
    assert torch.equal(output.pooler_output, output.last_hidden_state[:, 0])


def test_pixtral_takes_pictures_of_any_shape(written: Callable[..., Path], model: Any, tmp_path: Path) -> None:
    """Three in one batch, which the model sees as one row of patches: each sample has its own states."""
    if "sli" not in Installed().components("engine"):
        pytest.skip("the engine 'sli' is not installed")
    source = np.random.default_rng(1)
    shapes = {"wide": (16, 40), "high": (40, 30), "square": (32, 32)}
    samples = [Sample(key=key, fields={"image": source.integers(0, 256, (*shape, 3), dtype=np.uint8)})
               for key, shape in shapes.items()]  # fmt: skip
    checkpoint = Installed().open(str(written("pixtral_vision")))
    assert (checkpoint.blueprint.head, checkpoint.blueprint.takes) == ("PixtralVisionModel", ("image",))
    for residency in ("resident", "stream"):
        budget = Budget(scratch=tmp_path, memory=1 << 30, micro_batch=3, residency=residency)   # type: ignore[arg-type]
        sink = ListSink()
        with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
            teacher.observe(samples, [Tap(path="transformer.layers.3")], sink)
        found = {key: value for piece in sink.pieces for key, value in zip(piece.keys, piece.values, strict=True)}
        for sample in samples:
            with torch.no_grad():
                expected = model("pixtral_vision")(**checkpoint.collate([sample])).last_hidden_state[0]
            torch.testing.assert_close(found[sample.key].float(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("merged", "sides"), [(1, (24, 16)), (2, (32, 16))])
def test_pictures_are_whole_merged_patches(merged: int, sides: tuple[int, int], tmp_path: Path) -> None:
    more = {"vision.spatial_merge_size": merged}
    checkpoint = Gguf()._checkpoint(changed("pixtral_vision", tmp_path / "mmproj.gguf", **more))
    picture = np.zeros((20, 12, 3), dtype=np.uint8)
    batch = checkpoint.collate([Sample(key="x", fields={"image": picture})])
    assert tuple(batch["pixel_values"].shape[2:]) == sides


REFUSED = {
    "projector": ({"projector_type": "kimivl"}, "projector 'kimivl'"),
    "layers": ({"vision.block_count": 400}, "400 layers"),
    "size": ({"vision.image_size": 1 << 30}, "allowed: 1 to 16384"),
    "patch": ({"vision.patch_size": 0}, "allowed: 1 to 16384"),
    "positions": ({"vision.image_size": 64}, "65 positions"),
    "heads": ({"vision.attention.head_count": 7}, "CLIPVisionModel can be(?s:.*)Fetch or convert"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_fit_is_named(case: str, tmp_path: Path) -> None:
    values, said = REFUSED[case]
    with pytest.raises(NexusError, match=said):
        Gguf()._checkpoint(changed("clip_vision", tmp_path / "mmproj.gguf", **values))
