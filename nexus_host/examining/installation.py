"""Python, packages, plugins."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from ..discovery import Plugins
from ..discovery.points import unmet
from ..words import listed
from .findings import Finding

PACKAGES = ("nexus-specs", "nexus-host", "torch", "transformers", "safetensors", "numpy")
NEEDED = ("architecture", "engine", "profiler", "reader", "metric", "loss", "tower", "student", "stage")
"""Kinds without which nothing can be distilled."""


def examine_installation(plugins: Plugins) -> Iterator[Finding]:
    """Findings about what is installed."""
    yield Finding("python", "ok", f"{platform.python_version()} ({platform.system()} {platform.machine()})")
    for package in PACKAGES:
        yield _package(package)
    for plugin in plugins.found.values():
        if plugin.state == "loaded":
            yield Finding(f"plugin {plugin.name}", "ok", f"{plugin.distribution} {plugin.version}")
        elif plugin.state == "blocked":
            yield Finding(f"plugin {plugin.name}", "warn", f"blocked {plugin.reason}")
        else:
            hint = f"pip install --upgrade {plugin.distribution}, or nexus --without {plugin.name} ..."
            yield Finding(f"plugin {plugin.name}", "warn", f"{plugin.state}: {plugin.reason}", hint)
    for kind in NEEDED:
        yield from _kind(plugins, kind)


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "fail", "not installed", f"pip install {name}")


def _kind(plugins: Plugins, kind: str) -> Iterator[Finding]:
    """What is missing of a kind: all of it, one of two of a name, what a component requires."""
    if not plugins.components(kind):
        yield Finding(f"{kind}s", "fail", "no plugin offers one", "pip install -r requirements.txt")
    for name, owners in plugins.doubles(kind).items():
        yield Finding(f"{kind} {name}", "warn", f"offered by {owners}", "uninstall one, or --without")
    for name, component in plugins.components(kind).items():
        missing = [text for text in component.requires if unmet(Requirement(text))]
        if missing:
            hint = "pip install " + " ".join(f"'{text}'" for text in missing)
            yield Finding(f"{kind} {name}", "warn", f"needs {listed(missing)}", hint)
