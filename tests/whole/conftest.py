"""The product as a user has it: commands in an empty folder, with the plugins that are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSTALLED, AS_MODULE = [str(Path(sys.executable).with_name("nexus"))], [sys.executable, "-m", "nexus_host"]
"""The command as pip installs it; and without its script."""


class User:
    """Somebody who types commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.release = folder, folder / "nexus-run" / "release"
        self.environment = {**os.environ, "NEXUS_CACHE": str(folder / ".cache"), "HF_HUB_OFFLINE": "1"}

    def start(self, *words) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
        line = [*(INSTALLED if Path(INSTALLED[0]).exists() else AS_MODULE), *map(str, words)]
        return subprocess.Popen(line, cwd=self.folder, env=self.environment, **pipes)

    def types(self, *words, code=0) -> tuple[str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=1500)
        assert process.returncode == code, f"nexus {' '.join(map(str, words))}\n{out}\n{err}"
        return out, err

    def contents(self) -> dict[str, bytes]:
        """What the release holds now."""
        paths = sorted(path for path in self.release.rglob("*") if path.is_file())
        return {path.relative_to(self.release).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)


@pytest.fixture(scope="session")
def decoder_of_bytes(tmp_path_factory):
    """Makes a checkpoint: a random decoder whose 257 tokens are the bytes and a start."""
    tokenizers, hf, torch = (pytest.importorskip(name) for name in ("tokenizers", "transformers", "torch"))

    def make(file_size: str = "5GB", **sizes: int) -> Path:
        folder = tmp_path_factory.mktemp("decoder")
        torch.manual_seed(0)
        config = hf.LlamaConfig(**{"vocab_size": 257, "num_attention_heads": 4, "max_position_embeddings": 64} | sizes)
        hf.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size=file_size)
        letters = ["<s>", *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
        inner = tokenizers.Tokenizer(tokenizers.models.BPE({letter: at for at, letter in enumerate(letters)}, []))
        inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>").save_pretrained(folder)
        return folder

    return make
