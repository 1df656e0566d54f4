"""GGUF files on a hub: found by name, described from their headers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.remote import BLOCK
from nexus_specs import Installed, NexusError
from nexus_specs.testing.hub import LocalHub
from nexus_torch import hub

FILE, OTHER = "stories260K-Q8_0.gguf", "stories260K-BF16.gguf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data" / "gguf" / FILE).is_file():
            (tmp_path / "source").mkdir()
            for name in (FILE, OTHER):
                shutil.copy(parent / "shared" / "data" / "gguf" / name, tmp_path / "source")
            return tmp_path / "source"
    pytest.skip("there is no folder 'shared' with GGUF files beside the repository")


def test_a_file_is_described_by_its_header(server: LocalHub, folder: Path) -> None:
    commit = server.add("acme/stories-GGUF", folder)
    source = f"acme/stories-GGUF/{FILE}"
    assert Gguf().match(source) == 2
    assert Gguf().inspect(source) == Gguf().inspect(str(folder / FILE))
    size = (folder / FILE).stat().st_size
    assert server.served[f"acme/stories-GGUF/{FILE}"] <= max(BLOCK, size // 2)
    found = Gguf().origin(source)
    assert found is not None
    assert (found.source, found.missing) == (f"acme/stories-GGUF@{commit}/{FILE}", size)
    files = {each.file for part in Gguf().open(source, Installed()).parts for each in part.extents}
    assert files == {f"hub:acme/stories-GGUF@{commit}/{FILE}"}


def test_a_fetched_file_is_read_here(server: LocalHub, folder: Path) -> None:
    server.add("acme/stories-GGUF", folder)
    path = hub.fetch(hub.resolve(hub.HubId("acme/stories-GGUF")), FILE)
    asked = len(server.requests)
    files = {each.file for part in Gguf().open(f"acme/stories-GGUF/{FILE}", Installed()).parts for each in part.extents}
    assert files == {str(path)}
    assert len(server.requests) == asked


def test_several_files_are_a_choice(server: LocalHub, folder: Path) -> None:
    server.add("acme/stories-GGUF", folder)
    with pytest.raises(NexusError, match=rf"holds 2 GGUF models\. Name one: acme/stories-GGUF/FILE.*{FILE}"):
        Gguf().match("acme/stories-GGUF")
    with pytest.raises(NexusError, match=r"has no file 'none\.gguf'"):
        Gguf().match("acme/stories-GGUF/none.gguf")
    (folder / OTHER).unlink()
    server.add("acme/one-GGUF", folder)
    assert Gguf().match("acme/one-GGUF") == 2


def test_quantisations_in_folders_beside_a_configuration_are_a_choice(server: LocalHub, folder: Path) -> None:
    """As large models are published in GGUF: another loader would describe the configuration, without weights."""
    for name in (FILE, OTHER):
        (folder / name.removesuffix(".gguf")).mkdir()
        shutil.move(folder / name, folder / name.removesuffix(".gguf") / name)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    server.add("acme/folders-GGUF", folder)
    with pytest.raises(NexusError, match=r"holds 2 GGUF models\. Name one: acme/folders-GGUF/FILE.*-Q8_0/stories"):
        Installed().inspect("acme/folders-GGUF")
    inner = f"acme/folders-GGUF/{FILE.removesuffix('.gguf')}/{FILE}"
    assert Gguf().inspect(inner).head == "LlamaForCausalLM"
