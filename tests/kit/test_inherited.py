"""Every plugin of this repository inherits the kit, with a class for each of its components."""

import ast
import importlib
import tomllib
from pathlib import Path

import pytest
from nexus_specs import testing
from nexus_specs.testing.descriptors import descriptors

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
KIND_OF = {
    name: getattr(testing, name).kind
    for name in testing.__all__
    if name.endswith("Tests") and name not in ("PluginTests", "ComponentTests")
}


def bases(node, classes):
    """Names of all that a class inherits, through classes of the same file too."""
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
        yield name
        if name in classes:
            yield from bases(classes[name], classes)


def attribute(node, classes, wanted):
    """A constant of the class or of what it inherits."""
    for each in node.body:
        if isinstance(each, ast.Assign) and any(getattr(target, "id", "") == wanted for target in each.targets):
            return getattr(each.value, "value", None)
    inner = (classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes)
    return next((found for base in inner if (found := attribute(base, classes, wanted))), None)


def inherited(folder):
    """(kind, name) of each class in a plugin's tests that inherits the kit; the plugin itself as ("plugin", "")."""
    for file in (folder / "tests").glob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in classes.values():
            for base in bases(node, classes):
                if base == "PluginTests":
                    yield "plugin", ""
                if base in KIND_OF:
                    yield KIND_OF[base], attribute(node, classes, "name")


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_every_component_is_held_to_the_kit(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = set(inherited(folder))
    assert ("plugin", "") in found, f"No class in {folder.name}/tests inherits PluginTests"
    for module in project["entry-points"]["nexus.plugins"].values():
        offered = descriptors(importlib.import_module(module))
        wanted = {(kind, component.name) for kind, components in offered.items() for component in components}
        assert wanted <= found, f"{folder.name}: no class of the kit for {sorted(wanted - found)}"
