"""What the pages say is what the code says: fields, exit codes, files; and their examples run."""

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import nexus_specs
import pytest
from nexus_specs import Installed, testing
from nexus_student.stages import release
from nexus_student.stages.contract import Promise, capability

from nexus_host.cli.app import COMMANDS, EPILOG
from nexus_host.discovery import Plugins
from nexus_host.registry import Registry, cards
from nexus_host.registry.reading import read
from nexus_host.registry.shape import validate
from nexus_host.showing.board import Board, Entry

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CARDS = {
    "teachers": cards.TeacherCard,
    "towers": cards.TowerCard,
    "student": cards.StudentCard,
    "losses": cards.LossCard,
    "data": cards.DataCard,
    "run": cards.RunCard,
}


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def section(text, heading):
    """What stands below a heading, up to the next one of any level."""
    below = text.partition(f"{heading}\n")[2]
    return re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    return [name for names in ROW.findall(text) for name in re.findall(r"\w+", names)]


RECORDS = re.findall(r"^### `(\w+)`$", page("contract.md"), re.MULTILINE)


@pytest.mark.parametrize("name", RECORDS)
def test_contract_has_every_member(name):
    kind, text = getattr(nexus_specs, name), section(page("contract.md"), f"### `{name}`")
    if dataclasses.is_dataclass(kind):
        assert rows(text) == [field.name for field in dataclasses.fields(kind)]
    else:
        methods = [each for each, value in vars(kind).items() if inspect.isfunction(value) and each[0] != "_"]
        assert re.findall(r"^\| `(\w+)", text, re.MULTILINE) == [*kind.__annotations__, *methods]


def test_every_record_has_an_example():
    code = code_of("contract.md")
    records = [name for name in RECORDS if dataclasses.is_dataclass(getattr(nexus_specs, name))]
    assert [name for name in records if f"{name}(" not in code] == []


def test_contract_has_every_record():
    known = {name for name in nexus_specs.__all__ if dataclasses.is_dataclass(getattr(nexus_specs, name))}
    missing = {name for name in known if not name.endswith("Component")} - set(RECORDS)
    assert not missing - {"Installed"}


@pytest.mark.parametrize("name", CARDS)
def test_registry_has_every_field(name):
    assert rows(section(page("registry.md"), f"## {name}")) == list(CARDS[name].model_fields)


@pytest.mark.parametrize("text", [body for kind, body in CODE.findall(page("registry.md")) if kind == "yaml"])
def test_registry_example_has_the_right_shape(text):
    document = read(text, "registry.md")
    assert document.problems == []
    assert validate(document.data).problems == []


def test_running_has_the_exit_codes_of_the_help():
    told = dict(re.findall(r"^  (\d+) +(.+)$", EPILOG, re.MULTILINE))
    listed = dict(re.findall(r"^\| (\d+) \| (.+) \|$", section(page("running.md"), "## Exit codes"), re.MULTILINE))
    assert listed == told


def test_running_has_the_fields_of_status():
    text = section(page("running.md"), "## status.json")
    assert rows(text) == re.findall(r'^            "(\w+)":', inspect.getsource(Board.snapshot), re.MULTILINE)
    for name in re.findall(r'"(\w+)":', inspect.getsource(Entry.facts)):
        known = name in text or name in ("total", "stage", "subject", "fingerprint")
        assert known, f"status.json has {name} for each unit"


def code_of(name):
    return "\n".join(body for kind, body in CODE.findall(page(name)) if kind == "python")


IMPORTS = "from nexus_specs import *\n"
EXAMPLES = [(name, IMPORTS + code_of(name)) for name in ("contract.md", "shards.md")]


@pytest.mark.parametrize(("name", "body"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example_runs(name, body, tmp_path):
    done = subprocess.run([sys.executable, "-c", body], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pictures_are_what_the_script_draws(tmp_path):
    script = tmp_path / "draw.py"
    script.write_text((DOCS / "images" / "draw.py").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, str(script)], check=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    assert drawn
    assert drawn == {name: page(f"images/{name}") for name in drawn}


def test_release_has_every_field_of_a_capability():
    verdict = nexus_specs.Verdict(
        capability="c", teacher="t", tower="w", metric=nexus_specs.Choice(kind="metric", name="m"),
        data=nexus_specs.Choice(kind="reader", name="r"), teacher_score=1.0, student_score=1.0, forced_score=1.0,
        control_score=0.5, floor=0.0, retention_low=0.9, retention_high=1.0, gap_judged=True,
    )  # fmt: skip
    entry = capability(Promise(verdict=verdict, share=0.9, tier=1, tower_size=1, teacher_size=2))
    assert sorted(rows(page("release.md").partition("Each capability:")[2])) == sorted(entry)


def test_release_has_every_field_of_the_manifest():
    known = [*re.findall(r'^        "(\w+)":', inspect.getsource(release.write), re.MULTILINE), "files"]
    text = section(page("release.md"), "## manifest.json").partition("Each capability")[0]
    assert sorted(rows(text)) == sorted(known)


KIT = [getattr(testing, name) for name in testing.__all__ if name.endswith("Tests") and name != "ComponentTests"]

NO_INPUTS = ("component", "stage_descriptor", "bound", "teacher", "checkpoints", "profile", "students", "made", "text")


@pytest.mark.parametrize("tests", KIT)
def test_kit_page_has_every_input(tests):
    (row,) = [line for line in page("kit.md").splitlines() if line.startswith(f"| `{tests.__name__}` |")]
    own = [name for name in vars(tests) if not name.startswith(("_", "test_", "kind", "plugin", "name"))]
    missing = [name for name in own if f"`{name}" not in row and name not in NO_INPUTS]
    assert not missing


def test_every_command_that_a_page_shows_exists():
    known = {*COMMANDS, *Installed().components("command")}
    pages = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    found = [block for path in pages for block in CODE.findall(path.read_text(encoding="utf-8"))]
    blocks = [body for kind, body in found if kind == "console"]
    shown = {name for body in blocks for name in re.findall(r"^(?:\$ |.*&& )nexus ([a-z-]+)", body, re.MULTILINE)}
    assert shown <= known, f"no such commands: {sorted(shown - known)}"
    assert {"run", "plan", "add", "new-plugin", "verify", "chat"} <= shown


def test_readme_counts_what_there_is():
    text, plugins = (DOCS.parent / "README.md").read_text(encoding="utf-8"), Plugins.discover()
    model = Registry.load(DOCS.parent / "registry.yaml", plugins, strict=False).model
    known = [card for card in model.teachers.values() if card.status == "available"]
    assert f"`nexus list teachers` shows {len(known)} known ones" in text
    taught = [card for card in known if model.towers[card.tower].component == "text"]
    words = {8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}
    assert f"The {words[len(taught)]} that a text tower can learn from" in text
    assert f"{sum(row.get('reader') == 'hub' for row in plugins.catalogue('dataset'))} data sets of the hub" in text
    assert f"| {len(plugins.components('metric'))} metrics" in text
