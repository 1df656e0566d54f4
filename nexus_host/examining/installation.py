"""Python, packages, plugins."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from ..discovery import Plugin, Plugins
from ..discovery.points import unmet
from ..words import listed
from .findings import Finding

PACKAGES = ("nexus-specs", "nexus-host", "torch", "transformers", "safetensors", "numpy")
NEEDED = ("architecture", "engine", "profiler", "reader", "metric", "loss", "tower", "student", "stage")
"""Kinds without which nothing can be distilled."""
SLOW = 1.0
"""Seconds of an import that a user notices on every command."""


def examine_installation(plugins: Plugins, reserved: Iterable[str] = ()) -> Iterator[Finding]:
    """Findings about what is installed. `reserved` are commands that no plugin can offer."""
    yield Finding("python", "ok", f"{platform.python_version()} ({platform.system()} {platform.machine()})")
    for package in PACKAGES:
        yield _package(package)
    for plugin in plugins.found.values():
        yield _plugin(plugin)
    for name in reserved:
        if name in plugins.components("command"):
            owner = plugins.provider("command", name)
            found = f"of {owner.distribution} {owner.version} is never called: Nexus has its own"
            yield Finding(f"command {name}", "warn", found, "give it another name")
    for kind in NEEDED:
        yield from _kind(plugins, kind)


def _plugin(plugin: Plugin) -> Finding:
    """What became of a plugin, and what to do about it."""
    check, found = f"plugin {plugin.name}", f"{plugin.distribution} {plugin.version}"
    if plugin.state == "loaded":
        if plugin.seconds < SLOW:
            return Finding(check, "ok", found)
        hint = "import heavy libraries in its components, not in the module of its entry point"
        return Finding(check, "warn", f"{found} takes {plugin.seconds:.1f} s to import, on every command", hint)
    if plugin.state == "blocked":
        return Finding(check, "warn", f"blocked {plugin.reason}")
    if plugin.state == "double":
        return Finding(check, "warn", plugin.reason, "pip uninstall one of them")
    hint = f"pip install --upgrade {plugin.distribution}, or nexus --without {plugin.name} ..."
    return Finding(check, "warn", f"{plugin.state}: {plugin.reason}", hint)


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
