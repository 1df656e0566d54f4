"""Checkpoints on a hub: described without weights, the same as in a folder; programs of trusted commits alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Checkpoint, Installed, NexusError, Sample
from nexus_specs.testing.hub import LocalHub
from nexus_torch import hub
from nexus_torch.files import read_tensors
from nexus_torch.skeleton import fill, holders

PROGRAM = """
from transformers import LlamaConfig, LlamaForCausalLM

class TinyConfig(LlamaConfig):
    model_type = "acme_tiny"

class TinyForCausalLM(LlamaForCausalLM):
    config_class = TinyConfig
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where transformers puts programs that a test trusts; those of other tests are forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def folder(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A decoder, sharded."""
    home = tmp_path / "decoder"
    source = checkpoint_folder("llama")
    hf.LlamaForCausalLM.from_pretrained(source).save_pretrained(home, max_shard_size="40KB")
    for path in source.iterdir():
        if not (home / path.name).exists() and path.suffix != ".safetensors":
            shutil.copy(path, home)
    return home


@pytest.fixture
def remote(folder: Path) -> Path:
    """The same, as a program of its own."""
    values = json.loads((folder / "config.json").read_text())
    mapped = {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModelForCausalLM": "modeling_tiny.TinyForCausalLM"}
    values |= {"model_type": "acme_tiny", "architectures": ["TinyForCausalLM"], "auto_map": mapped}
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "modeling_tiny.py").write_text(PROGRAM)
    return folder


def weights_served(server: LocalHub) -> dict[str, int]:
    return {name: size for name, size in server.served.items() if name.endswith(".safetensors")}


def outputs(checkpoint: Checkpoint, home: Path, texts: list[Sample]) -> torch.Tensor:
    """Of the checkpoint's skeleton with the weights of a folder."""
    module = checkpoint.skeleton()
    tied, raw = holders(module), {}
    for path in sorted(home.glob("*.safetensors")):
        raw |= read_tensors(path)
    for part in checkpoint.parts:
        fill(module, checkpoint.assemble(part, {each.key: raw[each.key] for each in part.extents}), tied)
    with torch.no_grad():
        found: torch.Tensor = module(**checkpoint.collate(texts)).logits
    return found


def test_it_is_described_without_its_weights(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    loader = Transformers()
    assert [loader.match(source) for source in ("acme/tiny", "hub:acme/tiny", "acme/tiny@main")] == [1, 1, 1]
    assert loader.inspect("acme/tiny") == loader.inspect(str(folder))
    headers = {f"acme/tiny/{path.name}": 8 + int.from_bytes(path.read_bytes()[:8], "little")
               for path in folder.glob("*.safetensors")}  # fmt: skip
    assert weights_served(server) == headers
    asked = len(server.requests)
    loader.inspect("acme/tiny")
    assert len(server.requests) == asked
    found = loader.origin("acme/tiny")
    assert found is not None
    assert found.missing == sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_it_opens_as_the_folder_does(server: LocalHub, folder: Path, texts: list[Sample]) -> None:
    server.add("acme/tiny", folder)
    there, here = (Transformers().open(source, Installed()) for source in ("acme/tiny", str(folder)))
    assert [[each.key for each in part.extents] for part in there.parts] == [
        [each.key for each in part.extents] for part in here.parts
    ]
    assert all(hub.Address.parse(each.file) for part in there.parts for each in part.extents)
    torch.testing.assert_close(outputs(there, folder, texts), outputs(here, folder, texts), rtol=0, atol=0)


def test_what_the_hub_does_not_show_is_said(server: LocalHub, folder: Path) -> None:
    server.add("acme/gated", folder, gated=True)
    for source, message in (("acme/gated", "is gated.*hf auth login"), ("acme/gatde", "mean 'acme/gated'")):
        with pytest.raises(NexusError, match=message):
            Transformers().inspect(source)


def test_pickles_on_the_hub_are_not_read(server: LocalHub, folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04}.")
    server.add("acme/pickled", folder)
    with pytest.raises(NexusError, match=r"pytorch_model\.bin: pickles") as caught:
        Transformers().open("acme/pickled", Installed())
    fetch, convert = str(caught.value).splitlines()[1:]
    assert fetch.startswith("  hf download acme/pickled --revision ")
    assert fetch.endswith(" --local-dir pickled")
    assert "p = 'pickled'" in convert.replace("'\"'\"'", "'")
    assert not server.served["acme/pickled/pytorch_model.bin"]


def test_a_program_runs_only_of_the_commit_that_is_trusted(
    server: LocalHub, remote: Path, texts: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add("acme/remote", remote)
    source = f"acme/remote@{commit}"
    for ask in (Transformers().match, Transformers().inspect, lambda named: Transformers().open(named, Installed())):
        with pytest.raises(NexusError, match=rf"its own program: .*/tree/{commit}.*trust: acme/remote@{commit} "):
            ask(source)
    assert not (hub.snapshot(source) / "modeling_tiny.py").exists()
    monkeypatch.setenv("NEXUS_TRUST", f"acme/other@{commit} acme/remote@{'0' * 40}")
    with pytest.raises(NexusError, match="Trusted is another commit, 000000000000: name it behind the source"):
        Transformers().match(source)
    monkeypatch.setenv("NEXUS_TRUST", f"acme/remote@{commit}")
    assert Transformers().match(source) == 1
    with pytest.raises(NexusError, match=r"never run from a folder.*trust: OWNER/NAME@COMMIT"):
        Transformers().match(str(remote))
    checkpoint = Transformers().open(source, Installed())
    assert checkpoint.blueprint.head == "TinyForCausalLM"
    expected = hf.LlamaForCausalLM(hf.LlamaConfig.from_dict(json.loads((remote / "config.json").read_text())))
    assert checkpoint.blueprint.parameters == sum(each.numel() for each in expected.parameters())
    assert outputs(checkpoint, remote, texts).isfinite().all()


def test_a_program_of_another_repository_never_runs(
    server: LocalHub, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((remote / "config.json").read_text())
    values["auto_map"]["AutoModelForCausalLM"] = "acme/else--modeling_tiny.TinyForCausalLM"
    (remote / "config.json").write_text(json.dumps(values))
    commit = server.add("acme/remote", remote)
    monkeypatch.setenv("NEXUS_TRUST", f"acme/remote@{commit}")
    with pytest.raises(NexusError, match="takes its program from another repository"):
        Transformers().open(f"acme/remote@{commit}", Installed())


def test_a_trusted_commit_may_bring_its_tokenizer_too(
    server: LocalHub, remote: Path, texts: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    told = json.loads((remote / "tokenizer_config.json").read_text()) | told
    (remote / "tokenizer_config.json").write_text(json.dumps(told))
    (remote / "tokenization_own.py").write_text(
        "from transformers import PreTrainedTokenizerFast\nclass Own(PreTrainedTokenizerFast): pass\n"
    )
    source = f"acme/worded@{server.add('acme/worded', remote)}"
    monkeypatch.setenv("NEXUS_TRUST", source)
    checkpoint = Transformers().open(source, Installed())
    assert not checkpoint.blueprint.missing
    assert checkpoint.blueprint.processors["tokenizer"] == "Own"
    assert outputs(checkpoint, remote, texts).isfinite().all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import there_is_no_such_package", "pip install there_is_no_such_package"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("from .absent_tiny import nothing", "absent_tiny.py"),
    ],
)
def test_what_a_trusted_program_lacks_is_said(
    server: LocalHub, remote: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    (remote / "modeling_tiny.py").write_text(f"{line}\n{PROGRAM}")
    source = f"acme/lacking@{server.add('acme/lacking', remote)}"
    monkeypatch.setenv("NEXUS_TRUST", source)
    with pytest.raises(NexusError, match=rf"The program of .* cannot be loaded \(.*{message}"):
        Transformers().inspect(source)


def test_a_program_of_several_files_runs_and_none_is_read_from_elsewhere(
    server: LocalHub, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files import one another; what was copied aside and changed there is put right before it runs."""
    (remote / "modeling_tiny.py").write_text(f"from .parts_tiny import LAYERS\n{PROGRAM}")
    (remote / "parts_tiny.py").write_text("from .deep_tiny import LAYERS\n")
    (remote / "deep_tiny.py").write_text("LAYERS = 1\n")
    source = f"acme/several@{server.add('acme/several', remote)}"
    monkeypatch.setenv("NEXUS_TRUST", source)
    described = Transformers().inspect(source)
    for path in (hub.snapshot(source) / "deep_tiny.py", hub.snapshot(source) / "modeling_tiny.py"):
        good = path.read_bytes()
        path.resolve().write_bytes(good + b"\nraise SystemExit(3)\n")
        with pytest.raises(NexusError, match="is not the file of its commit"):
            Transformers().inspect(source)
        path.resolve().write_bytes(good)
    assert Transformers().inspect(source) == described
