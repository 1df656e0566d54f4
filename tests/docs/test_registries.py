"""Every registry that is shipped or shown is right: for editors, by `nexus schema`, and for the host."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from nexus_host.discovery import Plugins
from nexus_host.registry.json_schema import json_schema
from nexus_host.registry.reading import read
from nexus_host.registry.shape import validate

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHIPPED = ("registry.yaml", "plugins/nexus-starter/nexus_starter/registry.yaml")
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "docs/**/*.md", "plugins/*/README.md", "benchmarks/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]
SHOWN = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")))
]


@pytest.fixture(scope="module")
def editor():
    schema = json.loads(json.dumps(json_schema(Plugins.discover())))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check(text, editor):
    document = read(text, "registry.yaml")
    assert document.problems == []
    assert validate(document.data).problems == []
    assert [f"{each.json_path}: {each.message}" for each in editor.iter_errors(document.data)] == []


@pytest.mark.parametrize("path", SHIPPED)
def test_shipped(path, editor):
    check((ROOT / path).read_text(encoding="utf-8"), editor)


@pytest.mark.parametrize("text", SHOWN)
def test_shown(text, editor):
    check(text, editor)


def test_there_is_something_to_check():
    assert len(SHOWN) >= 10


def test_an_editor_is_told_of_a_component_that_is_not_there(editor):
    document = read("losses: [{name: forward_lk}]", "registry.yaml")
    assert [each.json_path for each in editor.iter_errors(document.data)] == ["$.losses[0].name"]
