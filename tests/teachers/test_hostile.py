"""What families of their own make of a stranger's configuration: a number that cannot be meant, or that is no number,
wherever one stands. Each is refused in words or described; nothing hangs, and no stack trace comes."""

import copy
import json
import os
import subprocess
import sys

import pytest
from nexus_specs import Blueprint, Installed, NexusError
from nexus_specs.installed import loader
from tiny_teachers.checking import source_of
from tiny_teachers.rows import by_name

FAMILIES = ("qwen3-tts-custom-voice", "qwen3-tts-tokenizer", "personaplex-7b", "step3-vl-10b")
NOT_CONFIGURATIONS = ("index", "token", "processor")
SLOWEST = 10
"""Seconds of the processor for one."""


def whole_numbers(value, path=()):
    """Paths of the whole numbers in a configuration; of a list, its first."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from whole_numbers(each, (*path, key))
    elif isinstance(value, list):
        yield from whole_numbers(value[0], (*path, 0)) if value else ()
    elif type(value) is int:
        yield path


def put(values, path, value):
    found = inner = copy.deepcopy(values)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def described(source):
    """Its blueprint, or why there is none."""
    try:
        return loader(Installed(), source)[1].inspect(source)
    except NexusError as error:
        return error


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("value", [10**9, -1, "x"])
def test_a_number_that_cannot_be_meant_is_refused_or_described(name, value, tmp_path):
    tiny = by_name()[name]
    tiny.build(tmp_path / "teacher")
    files = [each for each in (tmp_path / "teacher").rglob("*.json")
             if not any(word in each.name for word in NOT_CONFIGURATIONS)]  # fmt: skip
    for file in files:
        values = json.loads(file.read_text())
        for path in whole_numbers(values):
            file.write_text(json.dumps(put(values, path, value)))
            began = sum(os.times()[:2])
            assert isinstance(described(source_of(tiny, tmp_path / "teacher")), (Blueprint, NexusError)), path
            assert sum(os.times()[:2]) - began < SLOWEST, path
        file.write_text(json.dumps(values))


LOOKS = """
import sys
from nexus_host.__main__ import run
print(run(["inspect", sys.argv[1]]), "torch" in sys.modules)
"""
ABSURD = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 10**9}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", json.dumps(ABSURD).encode(), "num_hidden_layers is 1,000,000,000"),
        ("model.gguf", b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 56, "is not a sound GGUF file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_imported(name, content, said, tmp_path):
    """Importing torch and transformers takes seconds."""
    (tmp_path / name).write_bytes(content)
    found = subprocess.run([sys.executable, "-c", LOOKS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said in found.stderr
    assert found.stdout.split() == ["1", "False"]
