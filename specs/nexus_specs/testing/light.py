"""Checks of what a plugin imports: nothing heavy when it is listed, no other plugin and no host ever."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

CONTRACT = ("nexus_specs", "nexus_torch")
PROBE = """
import importlib, json, sys
import nexus_specs
before = set(sys.modules)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print("\\n" + json.dumps(sorted(set(sys.modules) - before)))
"""


def check_light(modules: Sequence[str], what: str) -> None:
    """Importing these modules, in a fresh process, loads nothing but the standard library and their own package."""
    command = [sys.executable, "-c", PROBE, json.dumps(list(modules))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{what} cannot be imported: {done.stderr.strip().splitlines()[-1]}"
    own = {name.partition(".")[0] for name in modules} | {*CONTRACT, "pluggy", *sys.stdlib_module_names}
    loaded = json.loads(done.stdout.splitlines()[-1])
    heavy = sorted({name.partition(".")[0] for name in loaded} - own)
    assert not heavy, (
        f"{what} imports {', '.join(heavy)}. It is imported by every `nexus` command, so import there nothing but "
        f"nexus_specs: name the component as text (target='module:attribute') and import in that module."
    )


def check_arrows(package: Path) -> None:
    """No module of a plugin imports the host or another plugin."""
    for file in sorted(package.rglob("*.py")):
        for line, name in _imports(file):
            foreign = name.startswith("nexus_") and name not in (*CONTRACT, package.name)
            assert not foreign, (
                f"{file.name}:{line} imports {name}. A plugin may import nexus_specs and nexus_torch; "
                f"what it needs of another one it asks for by kind and name: `context.make(kind, name)`."
            )


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: Iterable[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        yield from ((node.lineno, name.partition(".")[0]) for name in names)  # type: ignore[attr-defined]
