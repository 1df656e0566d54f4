"""What lies on a hub, as a user has it: `nexus` in an empty folder, asking a real server on this machine alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers
import torch
import transformers as hf
from nexus_specs.testing.hub import ELSEWHERE, LocalHub

INSTALLED = Path(sys.executable).with_name("nexus")
COMMAND = [str(INSTALLED)] if INSTALLED.exists() else [sys.executable, "-m", "nexus_host"]
REGISTRY = {
    "version": 1,
    "teachers": {
        "tiny": {"source": "acme/tiny", "capability": "prose", "tower": "prose", "data": "words", "licence": "MIT"},
    },
    "towers": {
        "prose": {"component": "text", "options": {"rank": 2}, "stages": {"train": {"steps": 4, "batch": 2}}},
    },
    "student": {
        "component": "nexus", "core": "auto", "options": {"layers": 1, "width": 32},
        "stages": {"core": {"steps": 4, "batch": 2}},
    },
    "losses": [{"name": "forward_kl"}],
    "data": {"words": {"reader": "hub", "options": {"id": "acme/words"}}},
    "run": {"workers": 1, "stages": {"release": {"allow_below": True}}},
}  # fmt: skip
PARTS = {"train": 60, "validation": 10, "test": 10}
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "small", "dog", "run"]


class Person:
    """Somebody who types commands in a folder, with caches of their own and this hub alone."""

    def __init__(self, folder: Path, hub: LocalHub) -> None:
        self.folder, self.run = folder, folder / "nexus-run"
        kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        own = {"HF_HOME": str(folder / ".home"), "OMP_NUM_THREADS": "1", "RAN": str(folder / "ran")}
        self.environment = kept | hub.environment(folder / ".hub") | own

    def writes(self, **teacher: object) -> None:
        """The registry, with the teacher's card changed."""
        card = REGISTRY["teachers"]["tiny"] | teacher
        values = REGISTRY | {"teachers": {"tiny": card}}
        (self.folder / "registry.yaml").write_text(json.dumps(values, indent=1))

    def start(self, *words: str, **environment: str) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(
            [*COMMAND, *words], cwd=self.folder, env=self.environment | environment, **pipes
        )  # fmt: skip

    def types(self, *words: str, code: int = 0, **environment: str) -> str:
        """All that a command says; no stack trace is among it."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=900)
        assert process.returncode == code, f"nexus {' '.join(words)}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in out + err
        return out + err

    def plans(self, *words: str) -> dict:
        """The plan as JSON."""
        process = self.start("plan", "--json", *words)
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        return json.loads(out)

    @property
    def ran(self) -> set[str]:
        """What programs of repositories noted when they were imported."""
        place = self.folder / "ran"
        return set(place.read_text().split()) if place.exists() else set()

    @property
    def pins(self) -> dict:
        """What the run directory keeps."""
        return json.loads((self.run / "pins.json").read_text())

    @property
    def manifest(self) -> dict:
        return json.loads((self.run / "release" / "manifest.json").read_text())


@pytest.fixture
def hub():
    with LocalHub() as local:
        yield local


@pytest.fixture
def person(tmp_path, hub):
    (tmp_path / "work").mkdir()
    return Person(tmp_path / "work", hub)


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """A random decoder whose tokens are the bytes."""
    folder = tmp_path_factory.mktemp("tiny")
    letters = ["<s>", *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    inner = tokenizers.Tokenizer(tokenizers.models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>").save_pretrained(folder)
    config = hf.LlamaConfig(
        vocab_size=257, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def decoder(first, tmp_path):
    """Writes the decoder into a folder of its own; with other weights for another `seed`."""

    def made(name: str, seed: int = 0) -> Path:
        folder = shutil.copytree(first, tmp_path / name)
        if seed:
            torch.manual_seed(seed)
            hf.LlamaForCausalLM(hf.LlamaConfig.from_pretrained(folder)).save_pretrained(folder)
        return folder

    return made


@pytest.fixture
def sentences(tmp_path):
    """Writes a data set of three splits in parquet, in the layout of the hub's own copies."""

    def made(name: str, mark: str = "a") -> Path:
        chooser = np.random.default_rng(len(mark))
        for split, count in PARTS.items():
            place = tmp_path / name / "default" / split / "0000.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"text": f"{mark} {split} {at}: {' '.join(chooser.choice(WORDS, 8))}"} for at in range(count)]
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place)
        return tmp_path / name

    return made
