"""A checkpoint's files never reach what fetches programs: kernels of a hub, classes that open models. Shown in a
process of its own, where a stand-in for the library `kernels` is installed and says what it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_torch.hugging_face.configuration.reading import cleaned

KERNEL = "somebody/kernel"
ASKS = {
    "attn_implementation": KERNEL, "_attn_implementation": KERNEL, "_attn_implementation_internal": KERNEL,
    "experts_implementation": KERNEL, "_experts_implementation": KERNEL, "_experts_implementation_internal": KERNEL,
    "use_kernels": True, "_use_kernels": True, "kernel_config": {"kernel_mapping": {"RMSNorm": f"{KERNEL}:RMSNorm"}},
    "allow_all_kernels": True, "trust_remote_code": True,
    "auto_map": {"AutoConfig": "evil.C", "AutoTokenizer": "evil.C"},
}  # fmt: skip
LIBRARY = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return made(name)

def made(name):
    class Asked:
        def __init__(self, *asked, **more):
            if "somebody" in repr((asked, more)):
                print("ASKED", name, asked)
            if name.startswith("get_"):
                raise RuntimeError("no such kernel")
        def __call__(self, kind):
            return kind
        def __class_getitem__(cls, _):
            return cls
    return Asked
"""
OPEN = """
import importlib.util, sys
import nexus_torch.hugging_face
assert importlib.util.find_spec("kernels") is None, "as if it were not installed"
del sys.modules["kernels"]
import kernels                                  # and where it is there all the same:
from nexus_specs import Installed, NexusError
for source in sys.argv[1:]:
    try:
        checkpoint = Installed().open(source)
        checkpoint.skeleton()
        for name in ("tokenizer", "image_processor", "processor"):
            try:
                getattr(checkpoint.preprocessor, name)
            except NexusError:
                pass
        print("OPENED", source)
    except NexusError as error:
        print("REFUSED", source, error)
"""


def poisoned(value: Any) -> Any:
    """A configuration that asks for kernels at every depth."""
    return {**{key: poisoned(each) for key, each in value.items()}, **ASKS} if isinstance(value, dict) else value


@pytest.fixture
def hostile(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a tiny checkpoint whose config.json asks for kernels, with more in one of its files."""

    def write(name: str, builder: str, file: str = "", **more: Any) -> Path:
        home = tmp_path / name
        shutil.copytree(checkpoint_folder(builder), home)
        config = json.loads((home / "config.json").read_text())
        (home / "config.json").write_text(json.dumps(poisoned({**config, "rope_parameters": None})))
        if file:
            said = json.loads((home / file).read_text()) if (home / file).is_file() else {}
            (home / file).write_text(json.dumps({**said, **more}))
        return home

    return write


def test_no_kernel_is_asked_for(hostile: Callable[..., Path], tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "kernels").mkdir(parents=True)
    (library / "kernels" / "__init__.py").write_text(LIBRARY)
    facts = library / "kernels-0.18.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 0.18.3\n")
    sources = [
        hostile("dense", "llama"), hostile("sparse", "experts"),
        hostile("tokenizer", "llama", "tokenizer_config.json", tokenizer_class="AutoModelForCausalLM"),
        hostile("pictures", "vit", "preprocessor_config.json", image_processor_type="ViTModel"),
    ]  # fmt: skip
    codec = {"audio_tokenizer_class": "AutoModel", "audio_tokenizer_name_or_path": str(sources[0])}
    processor = {"processor_class": "DiaProcessor", "audio_tokenizer": codec}
    sources.append(hostile("sounds", "llama", "processor_config.json", **processor))
    command = [sys.executable, "-c", OPEN, *map(str, sources)]
    paths = os.pathsep.join([str(library), *(path for path in sys.path if path)])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"OPENED {source}" for source in sources]


def test_what_asks_for_a_kernel_is_left_out_at_every_depth() -> None:
    values = {"hidden_size": 8, "text_config": {"layers": [{"width": 1}]}}
    assert cleaned(poisoned(values)) == values
    assert cleaned({"inner": [ASKS, [ASKS]]}) == {"inner": [{}, [{}]]}


CLASSES = {
    "tokenizer_config.json": {"tokenizer_class": "AutoModelForCausalLM"},
    "preprocessor_config.json": {"image_processor_type": "ViTModel"},
    "processor_config.json": {"feature_extractor": {"feature_extractor_type": "pipeline"}},
    "config.json": {"tokenizer_class": "Trainer"},
}


@pytest.mark.parametrize("file", CLASSES)
def test_a_class_that_makes_no_tensors_of_samples_is_refused(
    file: str, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    home = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_folder("llama"), home)
    said = json.loads((home / file).read_text()) if (home / file).is_file() else {}
    (home / file).write_text(json.dumps({**said, **CLASSES[file]}))
    checkpoint = Transformers().open(str(home), Installed())
    with pytest.raises(NexusError, match=r"which is no tokenizer, processor or feature extractor"):
        _ = checkpoint.preprocessor.tokenizer  # type: ignore[attr-defined]
