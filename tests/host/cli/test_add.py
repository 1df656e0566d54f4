"""`nexus add`: a card that fits, comments kept, the plan at the end."""

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nexus_host.__main__ import run
from nexus_host.registry import Registry


@pytest.fixture
def add(whole, tmp_path, monkeypatch, capsys):
    """Adds in an empty folder; the plan is the other tests' matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nexus_host.cli.add.preview", lambda registry, plugins, run_dir: print("PLAN", run_dir.name))
    (tmp_path / "data.txt").write_text("some text")

    def add(*arguments):
        code = run(["add", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return add


def written():
    return YAML(typ="safe").load(Path("registry.yaml"))


def test_an_empty_folder_gets_a_whole_registry(add, plugins):
    code, out, err = add("box:stories 260K", "--data", "data.txt")
    assert code == 0, err
    assert out == "PLAN nexus-run\n"
    assert "teacher 'stories-260k', tower 'stories-260k', data 'stories-260k' (new, reader lines)" in err
    found = written()
    assert found["teachers"] == {
        "stories-260k": {
            "source": "box:stories 260K", "status": "ready", "capability": "stories-260k", "tower": "stories-260k",
            "metric": "bits", "data": "stories-260k",
        }
    }  # fmt: skip
    assert found["towers"] == {"stories-260k": {"component": "text"}}
    assert found["data"] == {"stories-260k": {"reader": "lines", "options": {"path": "./data.txt"}}}
    assert found["student"] == {"component": "nexus", "core": "auto", "options": {"layers": 2}}
    assert found["losses"] == [
        {"name": "kl", "weight": 1.0, "options": {"temperature": 2}},
        {"name": "anchor", "weight": 0.5, "teachers": ["stories-260k"]},
    ]
    assert Registry.load(None, plugins).core_teachers() == ("stories-260k",)


def test_a_second_teacher_joins_and_comments_stay(add, plugins):
    Path("registry.yaml").write_text(
        "# mine\nversion: 1\nteachers:\n  # the first\n"
        "  one: {source: 'box:1', tower: one, data: one}  # good\n"
        "towers:\n  one: {component: text}\n"
        "data:\n  one: {reader: lines, options: {path: data.txt}}\n"
        "losses:\n  - {name: anchor, teachers: [one]}   # near\n  - {name: kl}\n"
    )
    assert add("box:two", "--data", "one", "--share", "0.8", "--name", "second")[0] == 0
    text = Path("registry.yaml").read_text()
    for comment in ("# mine", "# the first", "# good", "# near"):
        assert comment in text
    assert "  - {name: anchor, teachers: [one, second]}" in text
    found = written()
    assert found["teachers"]["second"]["data"] == "one"
    assert found["teachers"]["second"]["share"] == 0.8
    assert "student" not in found
    assert add("box:image", "--data", "data.txt", "--tower", "eyes")[0] == 0
    found = written()
    assert found["towers"]["eyes"] == {"component": "image"}
    assert found["losses"][0]["teachers"] == ["one", "second"]
    assert found["teachers"]["image"]["metric"] == "accuracy"


def test_a_teacher_to_whom_no_loss_would_apply_gets_its_own(add):
    Path("registry.yaml").write_text(
        "teachers:\n  one: {source: 'box:image', tower: one, data: one}\ntowers:\n  one: {component: image}\n"
        "data:\n  one: {reader: lines, options: {path: data.txt}}\n"
        "losses:\n  - {name: kl, teachers: [one]}   # for pictures\n"
    )
    assert add("box:two", "--data", "data.txt")[0] == 0
    assert "  - {name: kl, teachers: [one]}   # for pictures" in Path("registry.yaml").read_text()
    assert written()["losses"] == [
        {"name": "kl", "teachers": ["one"]},
        {"name": "kl", "weight": 1.0, "options": {"temperature": 2}, "teachers": ["two"]},
        {"name": "anchor", "weight": 0.5, "teachers": ["two"]},
    ]


def test_a_tower_of_the_registry_or_a_component_can_be_named(add):
    assert add("box:one", "--data", "data.txt", "--tower", "text")[0] == 0
    assert written()["towers"] == {"one": {"component": "text"}}
    assert add("box:two", "--tower", "one")[0] == 0
    assert written()["teachers"]["two"]["tower"] == "one"
    assert written()["teachers"]["two"]["data"] == "one"


def test_lists_without_indent_stay_so(add):
    Path("registry.yaml").write_text("losses:\n- {name: kl}\n")
    assert add("box:one", "--data", "data.txt")[0] == 0
    assert "\n- {name: kl}" in "\n" + Path("registry.yaml").read_text()


def test_paths_are_written_as_they_were_given(add, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "box").touch()
    (tmp_path / "below").mkdir()
    assert add("model", "--data", str(tmp_path / "data.txt"), "--registry", "below/r.yaml")[0] == 0
    found = YAML(typ="safe").load(tmp_path / "below" / "r.yaml")
    assert found["teachers"]["model"]["source"] == "../model"
    assert found["data"]["model"]["options"]["path"] == str(tmp_path / "data.txt")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlibrary_name: x\nlicense: mit\n---\n# A model", "mit"),
        ("---\nlicense: other\nlicense_name: 'psf-2.0'  \n---\n", "psf-2.0"),
        ("---\ntags: [a]\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense:\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_model_card_says(add, tmp_path, card, said):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "box").touch()
    (tmp_path / "model" / "README.md").write_text(card)
    assert add("model", "--data", "data.txt")[0] == 0
    assert written()["teachers"]["model"].get("licence") == said


def test_a_registry_that_is_no_text_is_said_in_words(add):
    Path("registry.yaml").write_bytes(b"teachers: \xff")
    code, _, err = add("box:one", "--data", "data.txt")
    assert code == 2
    assert "registry.yaml:1:11: is no text (byte 10 is not UTF-8)" in err


def test_a_folder_is_read_by_what_is_in_it(add, tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.TXT", "c.odd"):
        (tmp_path / "texts" / name).touch()
    assert add("box:one", "--data", "texts")[0] == 0
    assert written()["data"]["one"]["reader"] == "lines"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jar:x"], "No loader opens 'jar:x'"),
        (["box:x"], "needs data to be distilled on. Add --data FILE"),
        (["box:x", "--data", "nowhere.txt"], "--data nowhere.txt: there is no such file"),
        (["box:x", "--data", "data.odd"], "no reader is installed for .odd. Readers know: .txt."),
        (["box:x", "--data", "empty.txt"], "the training part is empty. Name data that hold something."),
        (["box:x", "--data", "few.txt"], "held out to judge by, and of so few that differ that is none. Name more"),
        (["box:image", "--data", "few-words.txt"], "its samples hold text, and this checkpoint takes image"),
        (["box:image", "--data", "words.txt"], "hold text, and this checkpoint takes image. Name data with"),
        (["box:x", "--data", "data.txt", "--name", "a b"], "--name a b: use letters"),
        (["box:x", "--data", "data.txt", "--share", "2"], "2.0 is not in the range"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(add, arguments, message):
    for name in ("data.odd", "empty.txt", "few.txt", "words.txt", "few-words.txt"):
        Path(name).touch()
    code, _, err = add(*arguments)
    assert code != 0
    assert message in err
    assert not Path("registry.yaml").exists()


def test_labels_in_words_are_named_to_the_metric(add):
    """An output has numbers alone: the checkpoint says which class each is."""
    Path("labelled-c.txt").touch()
    Path("labelled-cat.txt").touch()
    code, _, err = add("box:image", "--data", "labelled-cat.txt")
    assert code == 1
    assert "the label 'cat' is no class of this checkpoint. Its classes: a, b, c, d, e, f, g, h, …. Name them so" in err
    assert add("box:image", "--data", "labelled-c.txt")[0] == 0
    assert written()["teachers"]["image"]["metric"] == {"name": "accuracy", "options": {"labels": [*"abcdefghij"]}}


def test_a_tower_that_cannot_learn_from_it_is_refused(add):
    code, _, err = add("box:one", "--data", "data.txt", "--tower", "image")
    assert code == 1
    assert "--tower image: the component image takes image, the teacher takes text. Choose the component text" in err
    assert not Path("registry.yaml").exists()


def test_a_checkpoint_without_weights_is_written_and_said(add, tmp_path):
    (tmp_path / "weightless").mkdir()
    (tmp_path / "weightless" / "box").touch()
    code, out, err = add("./weightless", "--data", "data.txt")
    assert (code, out) == (0, "PLAN nexus-run\n")
    assert "still missing: weights (*.box)" in err
    assert "'./weightless' lacks weights (*.box): it can be inspected and planned with, and not run." in err
    assert "Type `nexus run`" not in err


def test_a_name_that_is_taken(add):
    assert add("box:one", "--data", "data.txt")[0] == 0
    code, _, err = add("box:one", "--data", "data.txt")
    assert code == 1
    assert "has a teacher 'one' already. Choose another id with --name." in err


def test_a_registry_with_mistakes_is_left_alone(add):
    Path("registry.yaml").write_text("teachers: {a: {sorce: 1}}")
    code, _, err = add("box:one", "--data", "data.txt")
    assert code == 2
    assert "Did you mean 'source'?" in err
    assert Path("registry.yaml").read_text() == "teachers: {a: {sorce: 1}}"


def test_data_that_are_there_are_looked_at_too(add):
    assert add("box:one", "--data", "data.txt", "--name", "one")[0] == 0
    text = Path("registry.yaml").read_text()
    for name in ("words.txt", "few.txt", "empty.txt"):
        Path(name).touch()
    Path("registry.yaml").write_text(text.replace("./data.txt", "./words.txt"))
    code, _, err = add("box:image", "--data", "one")
    assert code == 1
    assert "data 'one' (reader lines): its samples hold text, and this checkpoint takes image" in err
    for name, said in (("few.txt", "held out to judge by"), ("empty.txt", "the training part is empty")):
        Path("registry.yaml").write_text(text.replace("./data.txt", f"./{name}"))
        assert said in add("box:two", "--data", "one")[2]


def test_mistakes_that_only_the_run_has_are_told_after_writing(add):
    Path("registry.yaml").write_text("losses: [{name: kx}]\n")
    code, _, err = add("box:one", "--data", "data.txt")
    assert code == 2
    assert "The card is written. registry.yaml:1:10: losses.0.name: No loss is named 'kx'" in err


def test_towers_that_do_not_fit_or_fit_alike(whole, add):
    err = run_without_towers(whole, add)
    assert "No tower suits this checkpoint. It takes text and gives text" in err
    source = "yield TowerComponent(name='words', target='a:b', summary='C', takes=('text',), gives=('text',))"
    whole.plugin("more", f"@hookimpl\ndef nexus_towers():\n    {source}")
    code, _, err = add("box:one", "--data", "data.txt")
    assert code == 1
    assert "2 towers suit this checkpoint: text, words. Choose with --tower NAME." in err
    assert add("box:one", "--data", "data.txt", "--tower", "words")[0] == 0


def run_without_towers(whole, add):
    source = (whole.folder / "whole_plugin.py").read_text()
    (whole.folder / "whole_plugin.py").write_text(source.replace('takes=("text",)', 'takes=("sound",)'))
    sys.modules.pop("whole_plugin", None)
    err = add("box:one", "--data", "data.txt")[2]
    (whole.folder / "whole_plugin.py").write_text(source)
    sys.modules.pop("whole_plugin", None)
    return err


def test_without_a_default_registry_every_loss_that_learns_from_a_teacher_is_named(whole, add):
    (whole.folder / "whole_plugin.py").write_text(
        (whole.folder / "whole_plugin.py")
        .read_text()
        .replace("def nexus_registries", "def _none")
        .replace("@hookimpl\ndef _none", "def _none")
    )
    sys.modules.pop("whole_plugin", None)
    assert add("box:one", "--data", "data.txt")[0] == 0, add("box:one")
    assert written()["losses"] == [{"name": "anchor"}, {"name": "kl"}]


def test_a_new_core_is_trained_as_the_registry_of_a_plugin_trains_its_own(add, whole):
    home = whole.folder / "whole_home" / "registry.yaml"
    own = "  options: {layers: 3}\n"
    home.write_text(home.read_text().replace(own, f"{own}  stages: {{release: {{allow_below: true}}}}\n"))
    assert add("box:one", "--data", "data.txt")[0] == 0
    assert written()["student"]["stages"] == {"release": {"allow_below": True}}
    assert "  stages:\n    release: {allow_below: true}\n" in Path("registry.yaml").read_text()


def test_a_real_checkpoint_gets_a_plan(shared, tmp_path, monkeypatch, typed):
    """With the plugins that are really installed. The loader's libraries are imported once: no worker is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nexus_host.running.pool.Workers.submit", None)
    data = shared / "data" / "stories260k_samples" / "train.jsonl"
    out, err = typed("add", shared / "models" / "stories260K", "--data", data)
    assert "train/stories260k" in out
    assert "LlamaForCausalLM" in err
    found = written()
    assert found["towers"]["stories260k"] == {"component": "text"}
    assert found["teachers"]["stories260k"]["metric"] == "bits_per_byte"
    assert found["student"]["options"]["width"] < 64
