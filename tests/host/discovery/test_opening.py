"""A source that no loader opens, and one that a loader chokes on: words, never a trace."""

import json
import os

import pytest
from nexus_specs import NexusError

from nexus_host.__main__ import run
from nexus_host.running import worker

CHOKING = """
    class Panic(BaseException):
        pass

    class Loader:
        def match(self, source):
            if source.endswith("panic-at-once"):
                raise Panic("at once")
            return 1 if source.endswith(("choke", "panic")) else 0
        def inspect(self, source):
            if source.endswith("panic"):
                raise Panic("merges")
            raise ZeroDivisionError("by nothing")
        def open(self, source, lookup):
            raise SystemExit(3)
"""


@pytest.fixture
def plugins(site):
    site.module("choking_parts", CHOKING)
    source = "yield ArchitectureComponent(name='choking', target='choking_parts:Loader', summary='Chokes')"
    site.plugin("choking", f"from nexus_specs import *\n@hookimpl\ndef nexus_architectures():\n    {source}\n")
    return site.found()


def test_what_a_loader_did_not_foresee_is_said_in_words(plugins, tmp_path):
    with pytest.raises(NexusError, match=r"'choking' can make nothing of .* \(ZeroDivisionError: by nothing\)"):
        plugins.inspect(str(tmp_path / "choke"))
    with pytest.raises(NexusError, match=r"SystemExit: 3.*NEXUS_TRACEBACK=1"):
        plugins.open(str(tmp_path / "choke"))


def test_a_library_that_panics_is_said_in_words(plugins, tmp_path, monkeypatch, capsys):
    with pytest.raises(NexusError, match=r"'choking' can make nothing of .* \(Panic: merges\)"):
        plugins.inspect(str(tmp_path / "panic"))
    with pytest.raises(NexusError, match=r"Failed: choking: at once\.$"):
        plugins.inspect(str(tmp_path / "panic-at-once"))
    (tmp_path / "panic-at-once").mkdir()
    with pytest.raises(NexusError, match=r"Failed: choking: at once\. Mend what failed first"):
        plugins.inspect(str(tmp_path / "panic-at-once"))
    monkeypatch.setattr("nexus_host.cli.app.nexus.main", lambda *_, **__: plugins.make("architecture", "choking").match(
        "panic-at-once"
    ))  # fmt: skip
    assert run(["inspect", "x"]) == 1
    assert "Error: Panic: at once. This is a fault of Nexus" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr(worker, "planning", lambda without: plugins)
        said = worker.describe(str(tmp_path / "panic"), ())["error"]
    assert said.startswith("The loader 'choking' can make nothing of")


def test_what_may_be_meant_is_said(plugins, tmp_path):
    for name in ("a.Q4_0.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(NexusError, match=r"several models\. Name one of its files, as .*a\.Q4_0\.gguf"):
        plugins.inspect(str(tmp_path))
    with pytest.raises(NexusError, match=r"it is an address\. Name the repository: Qwen/Qwen2\.5-0\.5B\."):
        plugins.inspect("https://huggingface.co/Qwen/Qwen2.5-0.5B/tree/main")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"model_type": "quux"}), "is of the model type 'quux', which no loader knows. Update"),
        (json.dumps({"model_type": "quux", "auto_map": {}}), "code that it brings along is never run"),
        (json.dumps({"model_type": ["quux"]}), r'names no model_type. .* add .*"model_type": "bert"'),
        (json.dumps([1]), "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_configuration_that_nobody_knows(plugins, tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(NexusError, match=message):
        plugins.inspect(str(tmp_path))


def test_links_to_nothing(plugins, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "config.json").symlink_to("gone")
    with pytest.raises(NexusError, match="it is a link to nothing"):
        plugins.inspect(str(tmp_path / "loop"))
    with pytest.raises(NexusError, match=r"its config\.json is no file that can be read"):
        plugins.inspect(str(tmp_path))


def test_a_pipe_as_a_configuration(plugins, tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(NexusError, match=r"its config\.json is no file") as told:
        plugins.inspect(str(tmp_path))
    assert "as data" not in str(told.value), "a checkpoint, whatever is wrong with it"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "unet/config.json"])
def test_what_has_no_end_is_not_read(plugins, tmp_path, name):
    """A link to the log of the kernel says that it is a file, and waits for more."""
    (tmp_path / "unet").mkdir()
    for each in ("config.json", "model_index.json"):
        (tmp_path / each).write_text("{}")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/proc/kmsg")
    with pytest.raises(NexusError, match=rf"{name}' leads to /proc/kmsg, .* Put the file itself there"):
        plugins.inspect(str(tmp_path))


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "x" * 100_000])
def test_a_name_that_no_file_can_have_is_not_repeated(plugins, name):
    with pytest.raises(NexusError, match=r"characters long, and no path is: 'x.*…'\. Name a folder") as told:
        plugins.inspect(name)
    assert len(str(told.value)) < 250


@pytest.mark.parametrize("source", ["", "/", "/dev/null", "a\0b", "x" * 5000, "%s{}", "hub:../..", "package:", "~"])
def test_odd_names_are_answered(source, capsys):
    assert run(["inspect", source]) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
