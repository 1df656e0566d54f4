"""A first-time user names something that is no checkpoint: what it is, and what to type next."""

import json

import pytest
from nexus_specs import NexusError

from nexus_host.discovery import Plugins

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(scope="module")
def said():
    """What is said of a source."""
    plugins = Plugins.discover()

    def said(source):
        with pytest.raises(NexusError) as error:
            plugins.inspect(str(source))
        return str(error.value)

    return said


@pytest.mark.parametrize(
    ("name", "begins", "words"),
    [
        ("model.pt", b"PK\x03\x04", "it is a pickle, as torch.save writes it, which can run code"),
        ("old.pkl", b"\x80\x04", "it is a pickle"),
        ("model.zip", b"PK\x03\x04", "it is an archive. Unpack it"),
        ("model.tar.gz", b"\x1f\x8b", "it is an archive. Unpack it"),
        ("model.tflite", b"\x1c\0\0\0TFL3", "a program for TensorFlow Lite, which is not read"),
        ("weights.h5", b"\x89HDF", "a model of TensorFlow or Keras, which is not read"),
        ("weights.npz", b"PK\x03\x04", "arrays of numpy, and nothing says of which model"),
        ("words.txt", b"words", "The reader 'text' reads it as data: nexus add CHECKPOINT --data "),
        ("picture.png", b"\x89PNG", "The reader 'images' reads it as data"),
        ("mine.gguf", POINTER.encode(), "a pointer of Git LFS, not the file itself"),
    ],
)
def test_a_file_is_called_what_it_is(said, tmp_path, name, begins, words):
    (tmp_path / name).write_bytes(begins)
    assert words in said(tmp_path / name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin"])
def test_one_file_of_a_checkpoint_leads_to_its_folder(said, tmp_path, name):
    for each in {"config.json", name}:
        (tmp_path / each).write_text("{}")
    assert f"is one file of a checkpoint. Name its folder: {tmp_path}." in said(tmp_path / name)


def test_a_folder_leads_to_what_is_in_it(said, tmp_path):
    def made(folder, *names):
        for name in names:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text("{}\n")
        return tmp_path / folder

    commit = f"snapshots/{'a' * 40}"
    cached = made("hub/models--acme--my-model", f"{commit}/config.json")
    assert f"Name what is in it: acme/my-model, or its folder: {cached / commit}." in said(cached)
    assert "it is the hub's cache. Name what is in it: acme/my-model." in said(tmp_path / "hub")
    runs = made("trained", "trainer_state.json", "checkpoint-100/config.json", "checkpoint-200/config.json")
    assert f"a folder in it has. Name that: {runs / 'checkpoint-200'}, of 2." in said(runs)
    assert "That is a tokenizer without its model." in said(made("words", "tokenizer.json", "README.md"))
    rows = made("rows", "README.md", "data.jsonl")
    assert f"The reader 'jsonl' reads it as data: nexus add CHECKPOINT --data {rows}." in said(rows)
    assert "`nexus show" in said(made("unit", "artefact.json"))
    assert "Name its release, " in said(made("run", "status.json", "artefacts/x"))
    assert "(it holds a, b, c, d, e, …)" in said(made("many", *"abcdefg"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_pointers_of_git_lfs_are_known(said, tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 1}))
    (tmp_path / name).write_text(POINTER)
    assert said(tmp_path) == (
        f"'{tmp_path / name}' is a pointer of Git LFS, not the file itself. In that folder type: "
        "git lfs install && git lfs pull"
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://huggingface.co/acme/writer", "Name the repository: acme/writer."),
        ("huggingface.co/acme/writer/", "Name the repository: acme/writer."),
        ("hf://acme/writer", "Name the repository: acme/writer."),
        ("https://hf.co/acme/writer/tree/v1.0", "Name the repository: acme/writer@v1.0."),
        ("https://huggingface.co/acme/w/blob/main/w.Q4_0.gguf", "Name the repository: acme/w/w.Q4_0.gguf."),
        ("https://huggingface.co/acme/w/blob/main/config.json", "Name the repository: acme/w."),
        ("https://huggingface.co/datasets/acme/sums", "the address of a data set, not of a checkpoint"),
        ("https://huggingface.co/spaces/acme/demo", "the address of a program (a Space)"),
        ("https://huggingface.co/gpt2", "Name a repository on the hub: OWNER/NAME."),
        ("file:///srv/writer", "Name the path: /srv/writer."),
        ("acme/writer/config.json", "of a repository on the hub the whole is named: acme/writer."),
        ("acme/writer@feature/x", "a slash in the name of a branch is written %2F: acme/writer@feature%2Fx."),
        ("", "The source is empty. Name a folder,"),
    ],
)
def test_an_address_leads_to_a_name(said, address, words):
    assert words in said(address)
