"""A Hugging Face folder on disk: configuration, tokenizer files, and where every tensor's bytes lie."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from nexus_specs import Extent, NexusError, locate

CONFIG, ONE_FILE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""What a name on the hub looks like: "owner/name"."""
PREPROCESSOR_FILES = (
    CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
"""Files beside the weights that say how inputs become tensors."""


def configuration(source: str) -> dict[str, Any]:
    """The parsed config.json of a source; {} where there is none."""
    try:
        data = json.loads((folder(source) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def folder(source: str) -> Path:
    """The folder behind a source: a path, a package: resource, or what was fetched from the hub under the name
    ("hub:owner/name" or "owner/name"). A path that does not exist where nothing does. Nothing is fetched here."""
    try:
        path = locate(source).absolute()
    except (FileNotFoundError, ModuleNotFoundError):
        return Path(source)
    return path if path.exists() else _fetched(source.removeprefix("hub:")) or path


def _fetched(name: str) -> Path | None:
    """The snapshot of a hub repository in this machine's cache, its main revision."""
    if not HUB_ID.fullmatch(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, CONFIG)
    return Path(found).parent if isinstance(found, str) else None


def extents(home: Path) -> list[Extent]:
    """Every stored tensor of the folder, from the headers alone. NexusError where weights are missing or unsafe."""
    from nexus_torch.files import read_header  # imports torch, which `match` does without

    found = []
    for path in weight_files(home):
        entries, start = read_header(path)
        for key, entry in entries.items():
            first, last = entry["data_offsets"]
            shape = tuple(entry["shape"])
            place = {"file": str(path), "start": start + first, "stop": start + last}
            found.append(Extent(key=key, dtype=entry["dtype"], shape=shape, **place))
        if found and max(extent.stop for extent in found if extent.file == str(path)) > path.stat().st_size:
            raise NexusError(f"'{path}' is shorter than its header says: the download was cut off. Fetch it again.")
    return found


def weight_files(home: Path) -> list[Path]:
    """The safetensors files of a folder, in order."""
    if (home / ONE_FILE).is_file():
        return [home / ONE_FILE]
    if (home / INDEX).is_file():
        names = sorted(set(json.loads((home / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        if missing := [name for name in names if not (home / name).is_file()]:
            raise NexusError(f"'{home}' lacks {', '.join(missing)}, which {INDEX} lists. Fetch what is missing.")
        return [home / name for name in names]
    if files := sorted(home.glob("*.safetensors")):
        return files
    raise NexusError(_no_weights(home))


def copy_preprocessor(home: Path, target: Path) -> None:
    """Copies tokenizer and processor files and the configuration, never weights."""
    target.mkdir(parents=True, exist_ok=True)
    for name in PREPROCESSOR_FILES:
        if (home / name).is_file():
            shutil.copyfile(home / name, target / name)


def _no_weights(home: Path) -> str:
    pickled = sorted(path.name for path in (*home.glob("*.bin"), *home.glob("*.pt"), *home.glob("*.pth")))
    if not pickled:
        return f"'{home}' has a {CONFIG} but no weights (*.safetensors). Fetch model.safetensors into it."
    return (
        f"'{home}' holds its weights as {', '.join(pickled)}: pickles, which can run code when opened, so they are "
        "not read. Convert them once, where you trust them:\n"
        f'  python -c "import transformers as t; c = t.AutoConfig.from_pretrained({str(home)!r}); '
        f"getattr(t, c.architectures[0]).from_pretrained({str(home)!r}).save_pretrained({str(home)!r})\""
    )
