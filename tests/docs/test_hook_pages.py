"""A page for each hook, whose signature, fields and example agree with the code."""

import dataclasses
import inspect
import re
from pathlib import Path
from types import ModuleType

import nexus_specs
import pytest
from nexus_specs import KINDS, Hooks, Unit
from nexus_specs.testing.descriptors import check_descriptor
from nexus_specs.testing.plugins import check_hooks

PAGES = Path(__file__).parents[2] / "docs" / "hooks"
HOOKS = sorted(name for name in vars(Hooks) if name.startswith("nexus_"))
EVENTS = [name for name in HOOKS if name.startswith("nexus_unit_")]
BY_HOOK = {hook: (kind, descriptor) for kind, (hook, descriptor) in KINDS.items()}
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)[^`]*` \|", re.MULTILINE)


def page(hook):
    return (PAGES / f"{hook}.md").read_text(encoding="utf-8")


def section(text, title):
    return (
        text.partition(f": `{title}`\n")[2].partition("\n## ")[0]
        or text.partition(f"`{title}`\n")[2].partition("\n## ")[0]
    )


def signature(hook):
    found = inspect.signature(getattr(Hooks, hook))
    parameters = [each for each in found.parameters.values() if each.name != "self"]
    return f"def {hook}{found.replace(parameters=parameters)}".replace("'", "")


def example(hook):
    """The page's example, as a module."""
    module = ModuleType(f"example_of_{hook}")
    exec(compile(CODE.findall(page(hook))[1], f"{hook}.md", "exec"), vars(module))
    return module


def test_every_hook_has_a_page_and_every_page_a_hook():
    assert sorted(path.stem for path in PAGES.glob("nexus_*.md")) == HOOKS
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{hook}]({hook}.md)" in index for hook in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_page_has_the_exact_signature(hook):
    text = page(hook)
    assert text.startswith(f"# {hook}\n")
    assert CODE.findall(text)[0].strip() == signature(hook)


@pytest.mark.parametrize("hook", BY_HOOK)
def test_example_yields_what_the_page_says(hook):
    kind, descriptor = BY_HOOK[hook]
    module = example(hook)
    check_hooks(module)
    (component,) = getattr(module, hook)()
    assert type(component) is descriptor
    check_descriptor(kind, component)


@pytest.mark.parametrize("hook", BY_HOOK)
def test_page_has_every_field_of_the_descriptor(hook):
    descriptor = BY_HOOK[hook][1]
    fields = [field.name for field in dataclasses.fields(descriptor)]
    assert ROW.findall(section(page(hook), descriptor.__name__)) == fields


@pytest.mark.parametrize("hook", BY_HOOK)
def test_page_has_every_method_of_the_component(hook):
    for name in re.findall(r"^## (?:The component:|And) `(\w+)`$", page(hook), re.MULTILINE):
        protocol = getattr(nexus_specs, name)
        methods = [each for each, value in vars(protocol).items() if inspect.isfunction(value) and each[0] != "_"]
        expected = [*protocol.__annotations__, *methods]
        assert ROW.findall(page(hook).partition(f"`{name}`\n")[2].partition("\n## ")[0]) == expected


@pytest.mark.parametrize("hook", EVENTS)
def test_event_example_runs(hook, tmp_path):
    module = example(hook)
    check_hooks(module)
    given = {
        "unit": Unit(stage="train", subject="prose", fingerprint="0"),
        "run": tmp_path,
        "done": 1,
        "total": 2,
        "figures": {"celsius": 99.0},
        "error": "NexusError: no disk",
    }
    function = getattr(module, hook)
    function(**{name: given[name] for name in inspect.signature(function).parameters})
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("hook", EVENTS)
def test_event_page_has_every_argument(hook):
    parameters = [name for name in inspect.signature(getattr(Hooks, hook)).parameters if name != "self"]
    assert ROW.findall(page(hook).partition("## What it is given")[2]) == parameters
