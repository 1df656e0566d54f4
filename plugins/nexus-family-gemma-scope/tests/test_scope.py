"""Autoencoders alone and on their model: what they compute, where they hang, what is said where something is wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_family_gemma_scope.architecture import GemmaScope
from nexus_family_gemma_scope.layout import place
from nexus_specs import Budget, Installed, NexusError, Piece, Sample, Tap
from nexus_specs.testing.hub import LocalHub
from safetensors.torch import save_file

ALONE, ON_MODEL = "gemma-scope-2-27b alone", "gemma-scope-2-27b"


class Sink:
    def __init__(self) -> None:
        self.values: dict[tuple[str, str], torch.Tensor] = {}

    def put(self, piece: Piece) -> None:
        self.values |= {(piece.tap, key): value for key, value in zip(piece.keys, piece.values, strict=True)}

    def flush(self) -> None:
        return


def observed(source: str, samples: list[Sample], residency: Any, *taps: str) -> dict[tuple[str, str], torch.Tensor]:
    checkpoint, sink = GemmaScope().open(source, Installed()), Sink()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency=residency, micro_batch=1)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in taps], sink)
    return sink.values


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_features_of_a_model_are_those_of_its_states(tiny: Callable[[str], Any], residency: str) -> None:
    row, _, source, reference = tiny(ON_MODEL)
    samples = row.samples()
    state, layer = "model.language_model.layers.1", "gemma_scope.autoencoders.0"
    found = observed(
        source, samples, residency, state, layer, "features", "reconstruction", "activations", "embedding", "logits"
    )
    for sample in samples:
        features, rebuilt = reference.gemma_scope.autoencoders[0](found[state, sample.key][None])
        torch.testing.assert_close(found[layer, sample.key], features[0])
        assert torch.equal(found["features", sample.key], found[layer, sample.key])
        assert torch.equal(found["activations", sample.key], found[state, sample.key])
        torch.testing.assert_close(found["reconstruction", sample.key], rebuilt[0])
        torch.testing.assert_close(found["embedding", sample.key], features[0].amax(0))
        assert 0 < int((features > 0).sum()) < features.numel(), "some fire and some do not"


def test_alone_it_gives_features_without_padding(tiny: Callable[[str], Any]) -> None:
    row, _, source, reference = tiny(ALONE)
    samples = row.samples()
    found = observed(source, samples, "resident", "autoencoders.0", "embedding")
    for sample in samples:
        features, _ = reference.autoencoders[0](torch.from_numpy(sample.fields["activations"])[None])
        torch.testing.assert_close(found["autoencoders.0", sample.key], features[0])
        torch.testing.assert_close(found["embedding", sample.key], features[0].amax(0))


def test_the_folder_says_what_it_reads(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, folder, _, _ = tiny(ON_MODEL)
    scope = folder / "scope"
    copy = tmp_path / "gemma-scope-2-4b-it" / "mlp_out_all" / "layer_2_width_16k_l0_big"
    shutil.copytree(scope / "resid_post" / "layer_1_width_24_l0_small", copy)
    where = place(str(copy))
    assert (where.site, where.layer, where.model) == ("mlp_out", 2, "google/gemma-3-4b-it")
    shutil.copytree(copy, tmp_path / "renamed")
    told = {"model_name": "acme/model", "hf_hook_point_in": "model.layers.7.self_attn.o_proj.input"}
    (tmp_path / "renamed" / "config.json").write_text(json.dumps(told))
    where = place(str(tmp_path / "renamed"))
    assert (where.site, where.layer, where.model) == ("attn_out", 7, "acme/model")


def test_what_is_wrong_is_said(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    row, folder, source, _ = tiny(ON_MODEL)
    scope = source.partition("#")[0]
    assert GemmaScope().match(str(folder / "scope")) == 2
    with pytest.raises(NexusError, match=r"several autoencoders.*resid_post/layer_1_width_24_l0_small"):
        GemmaScope().inspect(str(folder / "scope"))
    with pytest.raises(NexusError, match="does not say which model"):
        GemmaScope().inspect(f"{scope}#base")
    with pytest.raises(NexusError, match="takes activations"):
        GemmaScope().open(scope, Installed()).collate(row.samples())
    shutil.copytree(scope, tmp_path / "resid_post" / "layer_9_width_24_l0_small")
    with pytest.raises(NexusError, match="has 3 layers"):
        GemmaScope().inspect(f"{tmp_path / 'resid_post' / 'layer_9_width_24_l0_small'}#{folder / 'base'}")
    shutil.copytree(scope, tmp_path / "renamed")
    with pytest.raises(NexusError, match="does not say which layer"):
        GemmaScope().inspect(f"{tmp_path / 'renamed'}#{folder / 'base'}")
    assert GemmaScope().match(str(folder / "base")) == 0


def test_a_repository_is_named_as_it_is_typed(tiny: Callable[[str], Any], server: LocalHub, tmp_path: Path) -> None:
    """Of a repository on the hub no path of the cache is shown, and what is shown opens."""
    _, folder, source, _ = tiny(ON_MODEL)
    shutil.copytree(folder / "scope", tmp_path / "scope")
    shutil.copytree(folder / "scope" / "resid_post", tmp_path / "scope" / "resid_post_all")
    server.add("google/gemma-scope-2-27b-pt", tmp_path / "scope")
    with pytest.raises(NexusError, match=r"^'hub:google/gemma-scope-2-27b-pt' holds several") as said:
        GemmaScope().inspect("google/gemma-scope-2-27b-pt")
    named = re.search(r"as in (\S+)\. There", str(said.value))
    assert named
    found = GemmaScope().open(named[1], Installed())
    assert found.blueprint.parameters == GemmaScope().inspect(source.partition("#")[0]).parameters
    assert GemmaScope().origin(named[1]).bytes < 2 * sum(found.blueprint.stacks[0].layer_bytes)
    with pytest.raises(NexusError, match="google/gemma-3-27b-pt"):
        GemmaScope().inspect(f"{named[1]}#base")


@pytest.mark.parametrize("damage", ["flat", "other", "none"])
def test_damaged_weights_are_refused(damage: str, tmp_path: Path) -> None:
    home = tmp_path / "resid_post" / "layer_1_width_4_l0_small"
    home.mkdir(parents=True)
    stored = {"w_enc": torch.ones(6, 4), "w_dec": torch.ones(4, 6), "b_enc": torch.ones(4), "b_dec": torch.ones(6),
              "threshold": torch.ones(4)}  # fmt: skip
    stored |= {"flat": {"w_enc": torch.ones(4)}, "other": {"threshold": torch.ones(5)}, "none": {}}[damage]
    save_file(stored, home / "params.safetensors")
    if damage == "none":
        (home / "params.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(NexusError, match=r"no matrix|must be|is not a folder"):
        GemmaScope().inspect(str(home))


def test_claims_and_catalogue_leave_torch_out() -> None:
    code = (
        "import sys; from nexus_family_gemma_scope.architecture import GemmaScope as G; G().match('.');"
        "from nexus_family_gemma_scope.catalogue import rows; assert rows();"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
