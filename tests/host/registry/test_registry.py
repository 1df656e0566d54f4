"""A registry in the terms of the plan: who is selected, what is chosen, with which options."""

import pytest
from nexus_specs import Choice, NexusError
from ruamel.yaml import YAML

from nexus_host.registry import Override, Registry, RegistryError

TEXT = """\
teachers:
  words: {source: ./words, aliases: [language], tower: words, data: words, share: 0.9}
  prose: {source: org/prose, tower: words, data: words, metric: {name: accuracy, options: {k: 2}}, tier: 2,
          components: {engine: {name: sli, options: {batch: 2}}}, stages: {profile: {samples: 3}}}
  shapes: {source: package:home/shapes, tower: shapes, data: shapes, modality: language}
  later: {source: x, status: available}
towers:
  words: {component: text, options: {rank: 4}, stages: {train: {steps: 50}, control: {dropout: 0.1}}}
  shapes: {component: image}
  unused: {component: text}
losses:
  - {name: kl, options: {temperature: 2}}
  - {name: anchor, weight: 0.5, teachers: [words, shapes]}
data:
  words: {reader: lines, options: {path: words.txt}, tags: [text, small]}
  shapes:
    reader: lines
    options: {parts: {train: [a.txt, package:home/b.txt, "hub:x/y"], held_out: /c.txt}}
    tags: text
run:
  stages: {train: {rate: 1e-4}, control: {steps: 70}}
"""


@pytest.fixture
def load(plugins, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "words").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (home / "registry.yaml").write_text(TEXT)

    def load(*overrides, **selection):
        found = [Override.parse(each) for each in overrides]
        return Registry.load(home / "registry.yaml", plugins, found, **selection)

    return load


def test_ready_teachers_and_their_towers(load):
    registry = load()
    assert list(registry.teachers) == ["words", "prose", "shapes"]
    assert list(registry.towers) == ["words", "shapes"]
    assert registry.teachers_of("words") == ("words", "prose")


@pytest.mark.parametrize(
    ("selection", "teachers"),
    [
        ({"models": ["language"]}, ["words"]),
        ({"models": ["shapes, prose"]}, ["prose", "shapes"]),
        ({"datasets": ["shapes"]}, ["shapes"]),
        ({"datasets": ["small"]}, ["words", "prose"]),
        ({"datasets": ["all"]}, ["words", "prose", "shapes"]),
        ({"datasets": ["text"], "models": ["words"]}, ["words"]),
        ({"language_only": True}, ["words", "prose", "shapes"]),
        ({}, ["words", "prose", "shapes"]),
    ],
)
def test_selection(load, selection, teachers):
    assert list(load(**selection).teachers) == teachers
    assert list(load().select(**selection).teachers) == teachers


def test_language_only_reads_the_card_then_the_tower(load):
    assert list(load("teachers.shapes.modality=''", language_only=True).teachers) == ["words", "prose"]
    assert list(load("teachers.words.modality=image", language_only=True).teachers) == ["prose", "shapes"]


def test_selecting_twice_narrows(load):
    assert list(load(models=["words"]).select(models=["words", "prose"]).teachers) == ["words"]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"models": ["wrods"]}, r"--models: no teacher is named 'wrods'\. Did you mean 'words'\? Ready: words, prose"),
        ({"models": ["later"]}, "--models: the teacher 'later' is available; write `status: ready`"),
        ({"datasets": ["smal"]}, r"--datasets: no data has the name or tag 'smal'\. Did you mean 'small'\?"),
    ],
)
def test_wrong_selection(load, selection, message):
    with pytest.raises(NexusError, match=message) as error:
        load(**selection)
    assert error.value.exit_code == 2


def test_relative_paths_count_from_the_file(load, tmp_path):
    registry = load()
    assert registry.teachers["words"].source == str(tmp_path / "home" / "words")
    assert registry.teachers["prose"].source == "org/prose"
    assert registry.teachers["shapes"].source == "package:home/shapes"
    assert registry.model.data["words"].options == {"path": str(tmp_path / "home" / "words.txt")}
    assert registry.model.data["shapes"].options["parts"] == {
        "train": [str(tmp_path / "home" / "a.txt"), "package:home/b.txt", "hub:x/y"],
        "held_out": "/c.txt",
    }


def test_relative_paths_in_flags_count_from_here(load, tmp_path):
    registry = load("data.words.options.path=new.txt", "student.core=./core", "teachers.words.source=./other")
    assert registry.model.data["words"].options["path"] == str(tmp_path / "new.txt")
    assert registry.model.student.core == str(tmp_path / "core")
    assert registry.teachers["words"].source == str(tmp_path / "other")


def test_choices_of_a_teacher_have_complete_options(load):
    registry = load()
    (metric,) = registry.choices("metric", "teacher", "prose")
    assert metric == Choice(kind="metric", name="accuracy", options={"k": 2, "labels": ()})
    assert registry.choices("metric", "teacher", "words")[0].name == "bits"
    assert registry.choices("engine", "teacher", "prose")[0].options == {"batch": 2}
    assert registry.choices("engine", "teacher", "words")[0].options == {"batch": 8}
    assert registry.choices("profiler", "student", "student")[0].name == "niwt"
    assert registry.choices("reader", "teacher", "words")[0].options["columns"] == {}
    assert registry.choices("executor", "teacher", "words") == ()
    assert registry.choices("tower", "teacher", "words") == ()
    assert registry.choices("metric", "tower", "words") == ()


def test_choices_of_towers_and_the_student(load):
    registry = load("student.options.layers=6")
    (tower,) = registry.choices("tower", "tower", "words")
    assert tower.options == {"rank": 4, "vocabulary": "auto"}
    for scope, subject in (("student", "student"), ("core", "core"), ("tower", "words")):
        assert registry.choices("student", scope, subject)[0].options == {"layers": 6, "width": 128}


def test_losses_apply_to_the_teachers_they_name(load):
    registry = load()

    def losses(scope, subject):
        return [(loss.name, loss.weight, loss.teachers) for loss in registry.choices("loss", scope, subject)]

    assert losses("teacher", "words") == [("kl", 1.0, ()), ("anchor", 0.5, ())]
    assert losses("teacher", "prose") == [("kl", 1.0, ())]
    assert losses("tower", "words") == [("kl", 1.0, ()), ("anchor", 0.5, ("words",))]
    assert losses("student", "student") == [("kl", 1.0, ()), ("anchor", 0.5, ("words", "shapes"))]
    assert losses("core", "core") == [("kl", 1.0, ()), ("anchor", 0.5, ("words",))]


def test_stage_options_in_order_of_precedence(load):
    registry = load()
    assert registry.stage_options("profile", "teacher", "words") == {"samples": 16}
    assert registry.stage_options("profile", "teacher", "prose") == {"samples": 3}
    assert registry.stage_options("train", "tower", "words") == {"steps": 50, "rate": 1e-4}
    assert registry.stage_options("train", "tower", "shapes") == {"steps": 100, "rate": 1e-4}
    assert registry.stage_options("control", "tower", "words") == {"steps": 70, "rate": 1e-4, "dropout": 0.1}
    assert registry.stage_options("release", "student", "student") == {"allow_below": False}


def test_cards_have_their_defaults(load):
    registry = load()
    card = registry.card("teacher", "words")
    assert card["capability"] == card["name"] == "words"
    assert (card["share"], card["tier"], card["modality"]) == (0.9, 1, "text")
    assert "stages" not in card
    assert registry.card("teacher", "prose")["tier"] == 2
    assert registry.card("tower", "shapes") == {"component": "image", "name": "shapes"}
    assert registry.card("core", "core")["core_teachers"] == ["words", "prose"]


def test_core_teachers(load):
    assert load().core_teachers() == ("words", "prose")
    assert load(models=["prose"]).core_teachers() == ("prose",)
    assert load("student.core_teachers=[prose]").core_teachers() == ("prose",)
    assert load("student.core_teachers=[]").core_teachers() == ()
    assert load("student.core=some/checkpoint").core_teachers() == ()
    assert load().with_core_teachers(["words"]).core_teachers() == ("words",)


def test_what_is_not_used_may_be_missing(load):
    broken = "towers.shapes.component=imge"
    with pytest.raises(RegistryError, match=r"towers\.shapes\.component: No tower is named 'imge'.*: shapes\.$"):
        load(broken)
    assert load(broken, models=["words"]).core_teachers() == ("words",)
    assert load(broken, strict=False).card("teacher", "shapes")["modality"] == "language"
    assert load("towers.unused.component=nothing").towers
    assert load("teachers.shapes.metric=nothing", "teachers.shapes.status=disabled").teachers


def test_what_is_surely_wrong_is_told_of_what_is_not_used_too(load):
    wrong = ("towers.unused.options.rank=-4", "data.spare={reader: linse, options: {limit: x}}")
    with pytest.raises(RegistryError) as error:
        load(*wrong)
    first, second = sorted(error.value.lines, reverse=True)
    assert "towers.unused.options.rank: is -4" in first
    assert "data.spare.reader: No reader is named 'linse'. Did you mean 'lines'?" in second
    with pytest.raises(RegistryError, match=r"towers\.shapes\.component: No tower is named 'imagee'"):
        load("teachers.shapes.tower=shaeps", "towers.shapes.component=imagee")
    assert load("towers.later={component: speech-synthesis, options: {codes: 7}}").towers, "of a plugin to come"
    assert load("towers.shapes.options.size=x", "teachers.shapes.tower=unused", strict=False).towers


def test_a_flag_reaches_an_id_with_dots(plugins, tmp_path):
    path = tmp_path / "dots.yaml"
    path.write_text(TEXT.replace("  later:", "  v1.05-b: {source: x, status: available}\n  later:"))
    flags = ("teachers.v1.05-b.share=0.5", "losses.0.weight=3")
    found = Registry.load(path, plugins, [Override.parse(each) for each in flags])
    assert found.model.teachers["v1.05-b"].share == 0.5
    assert found.model.losses[0].weight == 3
    with pytest.raises(RegistryError, match=r"teachers\.v2\.05-b: unknown field"):
        Registry.load(path, plugins, [Override.parse("teachers.v2.05-b.share=0.5")])


def test_a_blocked_plugin_fails_the_runs_that_use_it(whole, tmp_path):
    plugins = whole.found(["whole"])
    with pytest.raises(RegistryError, match=r"Not loaded: whole \(blocked\)"):
        Registry.load(whole.folder / "whole_home" / "registry.yaml", plugins)


def test_the_dump_is_a_registry_with_the_same_meaning(load, plugins, tmp_path):
    registry = load("run.seed=3", "run.memory=8GB")
    (tmp_path / "dump.yaml").write_text(registry.dump())
    again = Registry.load(tmp_path / "dump.yaml", plugins)
    assert again.model == registry.model
    assert YAML(typ="safe").load(registry.dump())["run"]["memory"] == 8_000_000_000


def test_the_default_registry(plugins, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Registry.load(None, plugins).path == whole.folder / "whole_home" / "registry.yaml"
    (tmp_path / "registry.yaml").write_text("version: 1")
    assert Registry.load(None, plugins).path == tmp_path / "registry.yaml"


def test_without_any_registry(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = (
        "@hookimpl\ndef nexus_registries():\n    for name in ('one', 'two'):\n        "
        "yield RegistryComponent(name=name, target='a:b.yaml', summary='B')"
    )
    site.plugin("two", source)
    with pytest.raises(RegistryError, match=r"no plugin brings one by default \(offered: one, two\)"):
        Registry.load(None, site.found())


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [("run.workers", "2", 2), ("run.workers", "auto", "auto"), ("run.disk", "1.5KiB", 1536), ("run.disk", "7", 7)],
)
def test_run_settings(load, path, value, expected):
    assert getattr(load(f"{path}={value}").model.run, path.partition(".")[2]) == expected
