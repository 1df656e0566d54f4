"""A whole plugin package: common files, and those of the kind, with its names filled in."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template

from nexus_specs import NexusError

from ..store import replacing
from ..words import did_you_mean, listed

SUFFIX = ".tmpl"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class PackageNameError(NexusError):
    """A name that no package can have."""

    exit_code = 2


@dataclass(frozen=True)
class Kind:
    """What a new component of a kind does, and what its package needs."""

    summary: str
    about: str
    use: str
    plural: str
    dependencies: tuple[str, ...] = ("nexus-specs",)


_TORCH = ("nexus-specs[torch]", "torch>=2.8")
KINDS = {
    "tower": Kind(
        "One-channel images in, classes out: a grid of cells, cross-attention into the core",
        "it lets the core see images, cell by cell, and names their class.",
        "In `registry.yaml`:\n\n```yaml\ntowers:\n  mine: {component: $component, options: {cells: 8}}\n```",
        "towers",
        (*_TORCH, "numpy>=2"),
    ),
    "architecture": Kind(
        "Classifiers of texts by their bytes: config.json and one safetensors file",
        "it opens checkpoints whose config.json says `model_type: $component`.",
        "`nexus inspect FOLDER` shows what it finds in a checkpoint; `nexus add FOLDER` makes it a teacher.",
        "architectures",
        (*_TORCH, "safetensors>=0.6"),
    ),
    "metric": Kind(
        "Share of samples whose label is among the likeliest classes",
        "it counts how often the label is among the k likeliest classes.",
        "In `registry.yaml`, at a teacher:\n\n```yaml\nmetric: {name: $component, options: {k: 2}}\n```",
        "metrics",
    ),
    "profiler": Kind(
        "Block influence: how far each layer turns the state, in one pass and without ablation",
        "it judges each layer by how far it turns the state that passes through it.",
        "In `registry.yaml`:\n\n```yaml\nrun:\n  components: {profiler: $component}\n```",
        "profilers",
        _TORCH,
    ),
    "loss": Kind(
        "Squared distance between the class probabilities of student and teacher",
        "it is the Brier distance between the classes of student and teacher.",
        "In `registry.yaml`:\n\n```yaml\nlosses:\n  - {name: $component, options: {temperature: 2.0}}\n```",
        "losses",
        _TORCH,
    ),
    "stage": Kind(
        "Counts the labels that each teacher is distilled on",
        "it writes one table for each teacher: how many samples of each label it is distilled on.",
        "It runs in every `nexus run` once it is installed; `nexus run --stage $component` stops after it, and "
        "`nexus show` prints its table.",
        "stages",
    ),
    "reader": Kind(
        "Lines of label, tab, text, divided by the hash of the text",
        "it reads files of lines of label, tab, text.",
        "In `registry.yaml`:\n\n```yaml\ndata:\n  mine: {reader: $component, options: {path: my.labelled}}\n```",
        "readers",
    ),
}


def create(kind: str, name: str, parent: Path) -> list[Path]:
    """Writes the package `name` below `parent`, whole or not at all; the files. Raises NexusError for a name, a kind or
    a place that cannot be."""
    if kind not in KINDS:
        raise PackageNameError(f"There is no template for '{kind}'.{did_you_mean(kind, KINDS)} Kinds: {listed(KINDS)}.")
    package = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(package):
        raise PackageNameError(f"'{name}' cannot be a package; use small letters, digits and '-', as in acme-thermal.")
    if package in sys.stdlib_module_names or find_spec(package):
        raise PackageNameError(f"A package '{package}' is installed here; yours would hide it. Choose another name.")
    home = parent / name
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise NexusError(f"{home} is there already, and not empty. Choose another name or --dir.")
    values = _values(kind, name, package)
    texts = {path: text for each in ("common", kind) for path, text in _texts(files("nexus_host") / "templates" / each)}
    names = {path.replace("package", package, 1): text for path, text in sorted(texts.items())}
    with replacing(home) as folder:
        for path, text in names.items():
            _write(folder / path, Template(text).substitute(values))
    return [home / path for path in names]


def _values(kind: str, name: str, package: str) -> dict[str, str]:
    about = KINDS[kind]
    names = {
        "distribution": name,
        "package": package,
        "component": name,
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "kind": kind,
        "kinds": about.plural,
        "module": kind,
        "summary": about.summary,
        "dependencies": ", ".join(f'"{each}"' for each in about.dependencies),
    }
    return names | {key: Template(getattr(about, key)).substitute(names) for key in ("about", "use")}


def _texts(folder: Traversable, path: str = "") -> list[tuple[str, str]]:
    """(path in the package, text) of every template in a folder."""
    found: list[tuple[str, str]] = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _texts(item, f"{path}{item.name}/")
        elif item.name.endswith(SUFFIX):
            found.append((path + item.name.removesuffix(SUFFIX), item.read_text(encoding="utf-8")))
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
