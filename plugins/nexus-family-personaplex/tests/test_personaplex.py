"""PersonaPlex: names and layout of Kyutai's files, defaults, and what is said where something is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_family_personaplex.architecture import PersonaPlex
from nexus_family_personaplex.layout import DEFAULTS, MIMI, sizes
from nexus_family_personaplex.names import KyutaiNames
from nexus_specs import Budget, Extent, Installed, NexusError, Piece, Sample, Tap
from nexus_specs.testing.hub import LocalHub

NAME = "personaplex-7b"


def test_every_stored_tensor_has_its_place(tiny: Callable[[str], Any]) -> None:
    _, _, source, reference = tiny(NAME)
    checkpoint: Any = PersonaPlex().open(source, Installed())
    held = {extent.key for part in checkpoint.parts for extent in part.extents}
    assert held == {extent.key for extent in checkpoint.stored()}
    assert checkpoint.blueprint.parameters == sum(each.numel() for each in reference.parameters())
    assert checkpoint.blueprint.takes == ("audio", "text")
    assert checkpoint.config.depth_decoder_config.num_codebooks == 4, "two voices, not one"


def test_sizes_of_the_published_file_follow_from_its_shapes() -> None:
    shapes = {
        "text_emb.weight": (32001, 4096), "depformer_text_emb.weight": (32001, 1024),
        "transformer.layers.0.gating.linear_in.weight": (22528, 4096),
        "depformer.layers.0.gating.0.linear_in.weight": (5632, 1024),
        **{f"emb.{place}.weight": (2049, 4096) for place in range(16)},
        **{f"transformer.layers.{place}.norm1.alpha": (1, 1, 4096) for place in range(32)},
        **{f"depformer.layers.{place}.norm1.alpha": (1, 1, 1024) for place in range(6)},
        **{f"linears.{place}.weight": (2048, 1024) for place in range(8)},
    }  # fmt: skip
    found = {key: Extent(key=key, file="", start=0, stop=0, dtype="BF16", shape=shape) for key, shape in shapes.items()}
    known = sizes({**DEFAULTS, "model_type": "personaplex"}, found)
    assert (known["heads"], known["depth_heads"], known["layers"], known["depth_layers"]) == (32, 16, 32, 6)
    assert (known["streams"], known["depth_codes"], known["codes"], known["words"]) == (16, 16, 2048, 32000)
    assert sizes({**DEFAULTS, "model_type": "moshi"}, found)["depth_codes"] == 8


def test_half_of_the_codebooks_serve_for_the_other_half(tiny: Callable[[str], Any]) -> None:
    _, _, source, _ = tiny(NAME)
    names = KyutaiNames(PersonaPlex().open(source, Installed()).bare())  # type: ignore[attr-defined]
    raw = {f"linears.{step}.weight": torch.full((32, 16), float(step)) for step in range(2)}
    raw["depformer.layers.0.self_attn.in_proj_weight"] = torch.arange(2 * 3 * 16.0)[:, None].expand(-1, 16)
    made = names.assemble(raw, names.targets(raw))
    assert made["depth_decoder.lm_heads.weight"][:, 0, 0].tolist() == [0, 1, 0, 1]
    assert made["depth_decoder.layers.0.self_attn.k_proj.linear.weight"][:, 0, 0].tolist() == [16, 64, 16, 64]


def test_a_repository_without_configuration_is_known_by_its_files(
    tiny: Callable[[str], Any], server: LocalHub, tmp_path: Path
) -> None:
    _, _, source, _ = tiny(NAME)
    shutil.copytree(source, tmp_path / "moshiko")
    (tmp_path / "moshiko" / "config.json").unlink()
    server.add("kyutai/moshiko", tmp_path / "moshiko")
    assert PersonaPlex().match("kyutai/moshiko") == PersonaPlex().match(str(tmp_path / "moshiko")) == 2
    (tmp_path / "moshiko" / MIMI).unlink()
    server.add("kyutai/halved", tmp_path / "moshiko")
    assert PersonaPlex().match("kyutai/halved") == 0


class Sink:
    """What was observed: tap -> shapes."""

    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def put(self, piece: Piece) -> None:
        self.shapes.setdefault(piece.tap, []).extend(tuple(each.shape) for each in piece.values)

    def flush(self) -> None:
        return


def test_what_it_says_is_observed_in_text_and_in_codes(tiny: Callable[[str], Any]) -> None:
    row, _, source, _ = tiny(NAME)
    checkpoint, sink = PersonaPlex().open(source, Installed()), Sink()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.observe(row.samples(), [Tap(path="codes"), Tap(path="logits")], sink)
    assert [shape[1] for shape in sink.shapes["codes"]] == [4] * len(row.samples()), "a table a codebook"
    assert len(sink.shapes["logits"]) == len(row.samples())


def test_voices_are_of_one_rate_and_may_be_silent(tiny: Callable[[str], Any]) -> None:
    row, _, source, _ = tiny(NAME)
    checkpoint: Any = PersonaPlex().open(source, Installed())
    heard = row.samples()[0].fields["audio"]
    batch = checkpoint.collate([Sample(key="k", fields={"audio": heard})])
    assert batch["own_values"].abs().sum() == 0
    assert batch["input_ids"].shape == (1, 0)
    with pytest.raises(NexusError, match=r"8000 Hz.*24000"):
        checkpoint.collate([Sample(key="k", fields={"audio": heard, "rate": 8000})])
    with pytest.raises(NexusError, match="takes audio"):
        checkpoint.collate([Sample(key="k", fields={"text": "words"})])


def test_what_is_wrong_is_said(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    _, _, source, _ = tiny(NAME)
    shutil.copytree(source, tmp_path / "half")
    (tmp_path / "half" / MIMI).unlink()
    assert PersonaPlex().match(str(tmp_path / "half")) == 2
    with pytest.raises(NexusError, match=MIMI):
        PersonaPlex().inspect(str(tmp_path / "half"))
    (tmp_path / "half" / "config.json").unlink()
    assert PersonaPlex().match(str(tmp_path / "half")) == 2, "its names are Kyutai's"
    (tmp_path / "half" / "config.json").write_text(json.dumps({"model_type": "moshi", "architectures": ["MoshiModel"]}))
    assert PersonaPlex().match(str(tmp_path / "half")) == 0, "transformers' own format"
    with pytest.raises(NexusError, match="not a Moshi"):
        PersonaPlex().inspect(str(tmp_path))


@pytest.mark.parametrize(
    "told",
    [{"num_heads": 0}, {"delays": [0]}, {"delays": "soon"}, {"num_layers": 10**9}, {"mimi_config_name": "config.json"},
     {"mimi_config_name": "nowhere.json"}, {"max_period": "long"}, {"num_heads": "x"}, {"depformer_num_heads": [1]},
     {"moshi_name": "../model.safetensors"}, {"mimi_config_name": "/etc/hostname"},
     {"tokenizer_name": "/etc/hostname"}],
    ids=["heads", "delays", "no numbers", "layers", "mimi", "no mimi", "period", "no heads", "list", "above",
         "elsewhere", "words"],
)  # fmt: skip
def test_configurations_that_do_not_fit_are_refused(
    told: dict[str, Any], tiny: Callable[[str], Any], tmp_path: Path
) -> None:
    _, _, source, _ = tiny(NAME)
    shutil.copytree(source, tmp_path / "bad")
    config = json.loads((tmp_path / "bad" / "config.json").read_text())
    (tmp_path / "bad" / "config.json").write_text(json.dumps(config | told))
    with pytest.raises(NexusError):
        PersonaPlex().inspect(str(tmp_path / "bad"))


@pytest.mark.parametrize(("part", "name"), [("transformer", "num_layers"), ("quantizer", "n_q")])
def test_numbers_of_mimi_that_cannot_be_meant_are_refused_at_once(
    part: str, name: str, tiny: Callable[[str], Any], tmp_path: Path, at_once: Any
) -> None:
    _, _, source, _ = tiny(NAME)
    shutil.copytree(source, tmp_path / "bad")
    config = json.loads((tmp_path / "bad" / "config.json").read_text())
    mimi = tmp_path / "bad" / config["mimi_config_name"]
    told = json.loads(mimi.read_text())
    told[part][name] = 10**9
    mimi.write_text(json.dumps(told))
    with at_once(5), pytest.raises(NexusError, match="No such model"):
        PersonaPlex().inspect(str(tmp_path / "bad"))


def test_claims_and_catalogue_leave_torch_out() -> None:
    code = (
        "import sys; from nexus_family_personaplex.architecture import PersonaPlex as A; A().match('.');"
        "from nexus_family_personaplex.catalogue import rows; assert rows();"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
