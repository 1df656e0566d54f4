"""`core: auto` without options: sized by the tier and the core teachers, kept by the run directory."""

import json
from functools import cache

import pytest
from nexus_specs import Blueprint

from nexus_host.planning.settling import CORE, PINS, known_pins
from nexus_host.registry import Registry
from nexus_host.running import sizing, worker
from nexus_host.running.describing import Described


class AtOnce:
    """An executor that does it here."""

    def __init__(self):
        self.asked = []

    def submit(self, function, *given):
        self.asked.append(function.__name__)
        return Told(function(*given))


class Told:
    def __init__(self, value):
        self.value = value

    def result(self, patience=None):
        return self.value


@pytest.fixture
def sized(whole, plugins, tmp_path, monkeypatch):
    """Sizes of the core of a registry whose `student` says this, for teachers that nobody has to open."""
    monkeypatch.setenv("NEXUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(worker, "plugins", cache(lambda without: plugins))
    blueprint = Blueprint(
        family="box", head="Box", takes=("text",), gives=("text",), stacks=(), parameters=16, active_parameters=16,
        bytes=64, dtype="F32",
    )  # fmt: skip
    monkeypatch.setattr(
        sizing, "describe", lambda registry, *rest: Described(dict.fromkeys(registry.selected, blueprint))
    )
    source = (whole.folder / "whole_home" / "registry.yaml").read_text()
    executor = AtOnce()

    def sized(student, run=tmp_path / "run"):
        path = tmp_path / "registry.yaml"
        path.write_text(source.replace("  options: {layers: 3}\n", student).replace("words.txt", "w.txt"))
        executor.asked.clear()
        found = sizing.with_sizes(Registry.load(path, plugins), {}, run, executor, ())
        return dict(found.model.student.options), executor.asked

    return sized


def test_without_options_the_student_is_asked_and_once(sized):
    assert sized("  core: auto\n") == ({"layers": 2}, ["propose"])
    assert sized("  core: auto\n") == ({"layers": 2}, []), "as answered before"
    assert sized("  tier: 3\n")[1] == ["propose"], "another tier is another question"


@pytest.mark.parametrize("student", ["  options: {layers: 3}\n", "  options: {width: 64}\n"])
def test_who_writes_options_sizes_it(sized, student):
    options, asked = sized(student)
    assert not asked
    assert set(options) == {student.split("{")[1].split(":")[0]}


def test_a_core_from_a_checkpoint_has_its_size(sized):
    assert sized("  core: box:core\n") == ({}, [])


def test_a_run_directory_keeps_them_for_its_tier(sized, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / PINS).write_text(json.dumps({CORE: {"for": ["nexus", 1], "options": {"layers": 9}}}))
    assert sized("  tier: 1\n") == ({"layers": 9}, [])
    assert sized("  tier: 2\n")[0] == {"layers": 2}


ODD = {"for": ["nexus", 1], "options": {"leyers": 9}}


@pytest.mark.parametrize(("note", "known"), [(ODD, {CORE: ODD}), ({"for": ["nexus", 1]}, {}), (5, {}), (None, {})])
def test_a_note_that_is_none_is_left_alone(sized, tmp_path, note, known):
    run = tmp_path / "run"
    run.mkdir()
    (run / PINS).write_text(json.dumps({CORE: note}))
    assert sized("  tier: 1\n")[0] == {"layers": 2}
    assert known_pins(run) == known


def test_what_a_student_cannot_say_is_as_by_default(sized, whole, monkeypatch):
    monkeypatch.setattr(worker, "propose", lambda *given: None)
    monkeypatch.setattr(worker.propose, "__name__", "propose", raising=False)
    assert sized("  tier: 2\n")[0] == {}


def test_what_is_kept_is_what_was_asked_for(sized, plugins, whole):
    registry = Registry.load(None, plugins, strict=False).with_core_options({"layers": 2})
    assert sizing.note(registry) == {"for": ["nexus", 1], "options": {"layers": 2}}
