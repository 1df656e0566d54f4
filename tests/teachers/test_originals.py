"""Teachers in the format of their makers: whoever names one is told what to name instead, here and on a hub."""

import json

import pytest
from nexus_specs import NexusError

from nexus_host.discovery import Plugins

CONFIGURATIONS = {
    "zai-org/glm-4-9b-chat-hf": {"model_type": "chatglm", "architectures": ["ChatGLMModel"],
                                 "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"}},
    "openbmb/MiniCPM-V-4.6": {"model_type": "minicpmv", "architectures": ["MiniCPMV"],
                              "auto_map": {"AutoModel": "modeling_minicpmv.MiniCPMV"}},
    "microsoft/VibeVoice-ASR-HF": {"model_type": "vibevoice", "architectures": ["VibeVoiceForASRTraining"],
                                   "decoder_config": {"hidden_size": 3584}},
}  # fmt: skip
"""What to name instead -> the configuration of the original."""
FILES = {
    "NeMo's archive": ("parakeet-tdt-0.6b-v3.nemo", "README.md"),
    "Meta's own format": ("consolidated.00.pth", "params.json", "tokenizer.model"),
    "Mistral's own format": ("consolidated.safetensors", "params.json", "tekken.json"),
    "Diffusers pipeline": ("sd3_medium.safetensors", "LICENSE.md"),
    "a program for ONNX": ("model.onnx",),
}
"""What is said -> what a folder without a config.json holds."""


def refused(source):
    with pytest.raises(NexusError) as said:
        Plugins.discover().inspect(source)
    return str(said.value)


@pytest.fixture(params=CONFIGURATIONS)
def original(request, tmp_path):
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "config.json").write_text(json.dumps(CONFIGURATIONS[request.param]))
    return tmp_path / "original", request.param


def test_a_program_of_its_makers(original, server):
    folder, instead = original
    assert instead in refused(str(folder))
    server.add("acme/original", folder)
    assert instead in refused("acme/original")


@pytest.mark.parametrize("said", FILES)
def test_files_of_another_format(said, tmp_path, server):
    home = tmp_path / "original"
    home.mkdir()
    for name in FILES[said]:
        (home / name).write_bytes(b"\x80\x04nothing that may be opened")
    assert said in refused(str(home))
    if said != "Meta's own format":
        assert refused(str(home / FILES[said][0]))
    server.add("acme/original", home)
    told = refused("acme/original")
    assert said in told
    assert not [name for name in server.served if name.endswith(FILES[said][0])]


def test_one_file_says_what_it_is(tmp_path):
    (tmp_path / "parakeet.nemo").write_bytes(b"\x80")
    assert "NeMo's archive" in refused(str(tmp_path / "parakeet.nemo"))


def test_a_repository_without_a_checkpoint_is_not_sought_on_the_disk(tmp_path, server):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("Words alone.")
    server.add("acme/notes", tmp_path / "notes")
    told = refused("acme/notes")
    assert "no config.json on the hub" in told
    assert "README.md" in told
    assert "there is nothing at" not in told


def test_a_folder_of_a_repository_has_its_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refused("google/gemma-scope-2-27b-pt/resid_post/layer_31_width_16k_l0_medium#base")
    assert "hub:google/gemma-scope-2-27b-pt/resid_post/layer_31_width_16k_l0_medium#base" in told
    assert "hub:" not in refused("./a/b/c")
