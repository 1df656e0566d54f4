"""What `inspect` says of tokenizers and processors: classes by name, and a large vocabulary without building it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_torch.hugging_face.described import LARGE
from nexus_torch.hugging_face.inputs.processors import processors
from nexus_torch.text import tokenizer_hash

MEMORY = 64 << 20
MEASURED = """
import sys
from pathlib import Path
from nexus_arch_transformers.architecture import Transformers
told = lambda name: 1024 * int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0])
Transformers().inspect(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = told("VmRSS")
said = Transformers().inspect(sys.argv[2]).tokenizer
print(told("VmHWM") - before, said)
"""
"""What the second folder takes at most, in a process that has looked at the first: VmHWM begins anew there."""


def with_words(home: Path, count: int) -> Path:
    """A folder whose tokenizer has so many words more."""
    file = home / "tokenizer.json"
    values = json.loads(file.read_text())
    values["model"]["vocab"] |= {f"word{number:07}": number for number in range(400, 400 + count)}
    file.write_text(json.dumps(values))
    return home


@pytest.fixture
def folder(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Name of a copy -> a decoder's folder of that name, with so many words more."""

    def copy(name: str, words: int = 0) -> Path:
        shutil.copytree(checkpoint_folder("llama"), tmp_path / name)
        return with_words(tmp_path / name, words)

    return copy


def test_a_huge_tokenizer_is_not_built_to_be_described(folder: Callable[..., Path]) -> None:
    command = [sys.executable, "-c", MEASURED, str(folder("small")), str(folder("large", 900_000))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, said = done.stdout.split()[-2:]
    assert said.startswith("files:")
    assert int(growth) < MEMORY


def test_whoever_opens_it_has_the_tokenizer_itself(folder: Callable[..., Path]) -> None:
    one, same, other = folder("one", 60_000), folder("same", 60_000), folder("other", 60_001)
    assert (one / "tokenizer.json").stat().st_size > LARGE
    told = [Transformers().inspect(str(home)).tokenizer for home in (one, same, other)]
    assert told[0] == told[1] != told[2]
    assert told[0].startswith("files:")
    checkpoint: Any = Transformers().open(str(one), Installed())
    assert checkpoint.described.tokenizer == told[0]
    assert checkpoint.blueprint.tokenizer == tokenizer_hash(checkpoint.preprocessor.tokenizer)
    small = Transformers()
    assert small.inspect(str(folder("small"))) == small.open(str(folder("as small")), Installed()).blueprint


def test_a_large_one_that_cannot_be_built_is_missing_once_it_is_opened(folder: Callable[..., Path]) -> None:
    home = folder("broken")
    (home / "tokenizer.json").write_text("no tokenizer" * 200_000)
    assert Transformers().inspect(str(home)).tokenizer.startswith("files:")
    blueprint = Transformers().open(str(home), Installed()).blueprint
    assert blueprint.tokenizer == ""
    assert blueprint.missing == ("tokenizer.json",)


def test_a_file_that_no_tokenizer_has_is_not_read(folder: Callable[..., Path]) -> None:
    home = folder("absurd")
    with (home / "vocab.txt").open("wb") as file:
        file.truncate(1 << 34)
    checkpoint: Any = Transformers().open(str(home), Installed())
    with pytest.raises(NexusError, match=r"vocab\.txt' has 17,179,869,184 bytes"):
        _ = checkpoint.preprocessor.tokenizer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama", {"tokenizer": "PreTrainedTokenizerFast"}),
        ("vit", {"image_processor": "ViTImageProcessor"}),
        ("ast", {"feature_extractor": "ASTFeatureExtractor"}),
        ("videomae", {"image_processor": "VideoMAEImageProcessor"}),
    ],
)
def test_classes_are_named_as_the_files_name_them(
    name: str, expected: dict[str, str], checkpoint_folder: Callable[[str], Path]
) -> None:
    found = dict(Transformers().inspect(str(checkpoint_folder(name))).processors)
    assert {kind: word.removesuffix("Pil").replace("TokenizersBackend", "PreTrainedTokenizerFast")
            for kind, word in found.items()} == expected  # fmt: skip


FILES: dict[str, tuple[dict[str, Any], str, tuple[str, ...], dict[str, str]]] = {
    "several modalities": (
        {"tokenizer.json": {}, "processor_config.json": {
            "processor_class": "Gemma3Processor", "image_processor": {"image_processor_type": "Gemma3ImageProcessor"}},
         "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizerFast"}},
        "gemma3", ("image", "text"),
        {"processor": "Gemma3Processor", "tokenizer": "GemmaTokenizerFast", "image_processor": "Gemma3ImageProcessor"},
    ),
    "nothing named": (
        {"tokenizer.json": {}, "preprocessor_config.json": {"size": 8}}, "llava", ("image", "text"),
        {"processor": "LlavaProcessor", "tokenizer": "TokenizersBackend", "image_processor": "LlavaImageProcessorPil"},
    ),
    "films": (
        {"tokenizer.json": {}, "tokenizer_config.json": {"processor_class": "Qwen3VLProcessor"},
         "preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessorFast"},
         "video_preprocessor_config.json": {"video_processor_type": "Qwen3VLVideoProcessor"}},
        "qwen3_vl", ("image", "video", "text"),
        {"processor": "Qwen3VLProcessor", "tokenizer": "Qwen2Tokenizer", "image_processor": "Qwen2VLImageProcessorFast",
         "video_processor": "Qwen3VLVideoProcessor"},
    ),
    "an older name": (
        {"preprocessor_config.json": {"feature_extractor_type": "ViTFeatureExtractor"}}, "vit", ("image",),
        {"image_processor": "ViTFeatureExtractor"},
    ),
    "sound": (
        {"preprocessor_config.json": {"feature_extractor_type": "WhisperFeatureExtractor"}, "vocab.json": {}},
        "whisper", ("audio",), {"tokenizer": "WhisperTokenizer", "feature_extractor": "WhisperFeatureExtractor"},
    ),
    "no words": (
        {"tokenizer.json": {}, "tokenizer_config.json": {"tokenizer_class": "\x1b[31m evil", "processor_class": 7}},
        "unheard_of", ("text",), {"tokenizer": "PreTrainedTokenizerFast"},
    ),
    "nothing at all": ({}, "llama", ("text",), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_files_say_of_classes(name: str, tmp_path: Path) -> None:
    files, model_type, takes, expected = FILES[name]
    for file, values in files.items():
        (tmp_path / file).write_text(json.dumps(values))
    assert processors(tmp_path, model_type, takes) == expected
