"""Towers of mmproj files that see grids of patches or tiles, or hear, against the models that they were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files.reading import loaded
from gguf_files.towers import MODELS, tower, write
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.catalogue import classes, rows
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink

HEARD = ("qwen2a", "ultravox", "voxtral", "musicflamingo")


def sample(key: str, kind: str, *sides: int) -> Sample:
    """A picture of these sides, or a sound."""
    source = np.random.default_rng(len(key))
    if kind in HEARD:
        return Sample(key=key, fields={"audio": source.standard_normal(8000).astype(np.float32)})
    return Sample(key=key, fields={"image": source.integers(0, 256, (*(sides or (60, 90)), 3), dtype=np.uint8)})


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_tower_is_the_model_that_it_was_made_of(kind: str, tmp_path: Path) -> None:
    """All its weights, and what it says of a picture or a sound through the file's own processor."""
    model = tower(kind)
    checkpoint = Gguf()._checkpoint(write(kind, model, tmp_path / "mmproj.gguf"))
    assert checkpoint.blueprint.takes == (("audio",) if kind in HEARD else ("image",))
    assert type(model).__name__ == checkpoint.blueprint.head
    assert not checkpoint.unused
    module, tensors = loaded(checkpoint)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())
    batch = checkpoint.collate([sample("x", kind)])
    with torch.no_grad():
        found, expected = module(**batch), model(**batch)
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    signal = checkpoint.read(found, batch)
    assert signal.outputs["embedding"].shape[0] == 1
    checkpoint.save_preprocessor(tmp_path / "saved")
    assert (tmp_path / "saved" / "preprocessor_config.json").is_file()


def test_every_tower_is_listed() -> None:
    assert {head for head, *_ in MODELS.values()} <= set(classes()["clip"])
    assert next(row["modalities"] for row in rows() if row["name"] == "clip") == ["image", "audio"]


@pytest.mark.parametrize("kind", ["qwen2.5vl_merger", "qwen3vl_merger", "voxtral"])
def test_each_sample_of_a_batch_has_its_own_states(kind: str, tmp_path: Path) -> None:
    """Pictures of several sizes, which the tower sees as one row of patches; resident and streamed."""
    if "sli" not in Installed().components("engine"):
        pytest.skip("the engine 'sli' is not installed")
    model = tower(kind)
    checkpoint = Installed().open(write(kind, model, tmp_path / "mmproj.gguf"))
    samples = [sample("a", kind, 56, 84), sample("bb", kind, 112, 56), sample("ccc", kind, 56, 56)]
    path = checkpoint.blueprint.stacks[0].path + ".1"
    taken: list[Any] = []
    model.get_submodule(path).register_forward_hook(
        lambda _module, _args, output: taken.append(output[0] if isinstance(output, tuple) else output))
    for residency in ("resident", "stream"):
        budget = Budget(scratch=tmp_path, memory=1 << 30, micro_batch=3, residency=residency)   # type: ignore[arg-type]
        sink = ListSink()
        with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
            teacher.observe(samples, [Tap(path=path)], sink)
        found = {key: value for piece in sink.pieces for key, value in zip(piece.keys, piece.values, strict=True)}
        for each in samples:
            with torch.no_grad():
                model(**checkpoint.collate([each]))
            expected = taken.pop().squeeze(0)
            torch.testing.assert_close(found[each.key].float().reshape(expected.shape), expected, rtol=0, atol=1e-5)


def test_a_norm_that_newer_converters_name_otherwise_is_read(tmp_path: Path) -> None:
    """Since Gemma 4 came, gguf's table calls Llama 4's second norm by Gemma's name for it."""
    model = tower("llama4")
    path = write("llama4", model, tmp_path / "old.gguf")
    reader, writer = gguf.GGUFReader(path), gguf.GGUFWriter(tmp_path / "new.gguf", "clip")
    for key, field in reader.fields.items():
        if key.startswith("clip."):
            writer.add_key_value(key, field.contents(), field.types[0], field.types[-1])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name.replace("ln2", "attn_post_norm"), tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _, tensors = loaded(Gguf()._checkpoint(str(tmp_path / "new.gguf")))
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())


LACKING = {
    "glm4v": "mm.patch_merger.weight", "internvl": "v.blk.1.ln1.weight", "lfm2": "v.blk.0.ffn_up.weight",
    "llama4": "mm.model.mlp.1.weight", "qwen2vl_merger": "mm.0.weight", "qwen3vl_merger": "v.position_embd.weight",
    "voxtral": "a.position_embd.weight",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), LACKING.items())
def test_what_is_missing_is_named(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gguf_files import towers

    native = towers.stored
    monkeypatch.setattr(towers, "stored", lambda *each: (pair for pair in native(*each) if pair[0] != name))
    with pytest.raises(NexusError, match=r"mmproj\.gguf"):
        Gguf()._checkpoint(write(kind, tower(kind), tmp_path / "mmproj.gguf"))
