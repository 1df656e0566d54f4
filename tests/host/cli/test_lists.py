"""Listings: of what is installed, and of what the registry names."""

import json
import os

import pytest

from nexus_host.__main__ import run
from nexus_host.cli import catalogues
from nexus_host.cli.data_rows import own_row
from nexus_host.cli.filtering import filtered
from nexus_host.registry.cards import DataCard

KINDS = {
    "architectures": "box", "engines": "sli", "readers": "lines", "metrics": "bits", "profilers": "niwt",
    "losses": "anchor", "towers": "image", "students": "nexus", "stages": "control", "commands": "greet",
    "registries": "starter", "datasets": "shakes", "plugins": "whole", "teachers": "words",
}  # fmt: skip


@pytest.fixture
def rows(whole, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def rows(*arguments):
        assert run(["list", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_list(rows, kind):
    names = [row.get("name", row.get("architecture")) for row in rows(kind)]
    assert KINDS[kind] in names


@pytest.mark.parametrize(("word", "first"), [("tower", "image"), ("LOSSES", "anchor"), ("teacher", "words")])
def test_one_of_a_kind_is_enough(rows, word, first):
    assert rows(word)[0]["name"] == first


def test_tables_are_for_people(whole, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["list", "towers"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Images" in out
    assert run(["list", "executors"]) == 0
    assert "There are no executors." in capsys.readouterr().out


def test_what_a_kind_says_beyond_the_name(rows):
    assert rows("towers")[1] == {
        "name": "text", "summary": "Text", "takes": ["text"], "gives": ["text"], "metric": "bits", "plugin": "whole",
        "version": "1.0",
    }  # fmt: skip
    assert rows("stages")[-1]["needs"] == ["profile"]
    assert rows("metrics")[1]["better"] == "lower"
    assert rows("readers")[0]["reads"] == [".txt"]
    assert rows("losses")[0]["records"] == ["states"]


def test_plugins_that_did_not_load_are_listed_with_the_reason(whole, rows):
    whole.plugin("bad", "raise ValueError('bad weather')")
    found = {row["name"]: row for row in rows()}
    assert (found["bad"]["state"], found["bad"]["reason"]) == ("broken", "ValueError: bad weather")
    assert "tower text" in found["whole"]["offers"]


def test_doubles_are_listed(whole, rows):
    whole.plugin("more", "@hookimpl\ndef nexus_engines():\n    yield Component(name='sli', target='a:b', summary='C')")
    assert "NOT USED: two plugins offer it" in rows("engines")[0]["summary"]


def test_teachers_of_any_status_are_listed(rows):
    found = {row["name"]: row for row in rows("teachers")}
    assert found["later"]["status"] == "available"
    assert found["words"]["modality"] == "text"
    judged = ("metric", "better", "component", "installed")
    assert [found["words"][each] for each in judged] == ["bits", "lower", "text", True]
    assert [found["shapes"][each] for each in judged] == ["accuracy", "higher", "image", True]
    assert [found["later"][each] for each in judged] == ["", None, "", False]


def test_datasets_without_a_registry_are_cards_alone(whole, rows, tmp_path):
    (whole.folder / "whole_home" / "registry.yaml").write_text("teachers: 3")
    assert [row["dataset"] for row in rows("datasets")] == ["cards"]
    assert run(["list", "datasets", "--registry", str(tmp_path / "no.yaml")]) == 2


def test_each_row_of_data_has_the_columns_of_the_catalogue(rows):
    found = rows("datasets")
    columns = {"id": str, "splits": list, "columns": list, "tags": list, "licence": str, "size": str, "bytes": int}
    assert {type(row[name]) for row in found for name in columns} == set(columns.values())
    assert all(isinstance(row[name], kind) for row in found for name, kind in columns.items())
    names = [row["name"] for row in found]
    assert [row["name"] for row in rows("datasets", f"{names[0]}, {names[-1]}")] == [names[0], names[-1]]


def test_data_of_a_registry_say_their_parts_and_sizes(tmp_path):
    (tmp_path / "a.jsonl").write_text("x" * 1500)
    parts = {"train": str(tmp_path / "a.jsonl"), "held_out": [str(tmp_path / "a.jsonl"), "nowhere"]}
    row = own_row("mine", DataCard(reader="jsonl", options={"parts": parts, "columns": {"text": "body"}}))
    assert [row[each] for each in ("splits", "columns", "bytes")] == [["train", "held_out"], ["text"], 3000]
    row = own_row("hers", DataCard(reader="hub", options={"id": "a/b", "splits": {"train": "all"}, "path": 3}))
    assert [row[each] for each in ("id", "splits", "size")] == ["a/b", ["train"], "not known"]


def test_a_word_keeps_the_rows_that_it_names(rows):
    assert [row["name"] for row in rows("towers", "IMA")] == ["image"]
    assert len(rows("towers", "all")) == len(rows("towers")) > 1
    assert rows("towers", "nothing-like-it") == []
    one = rows("plugins")[0]
    assert one in rows("plugins", one["distribution"]), "pip knows it by this name"


def test_a_word_that_names_no_row_is_looked_for_in_what_rows_say(rows, whole, capsys):
    assert [row["name"] for row in rows("plugins", "anchor")] == ["whole"], "it offers a loss of this name"
    found = filtered([{"name": "word_error_rate"}, {"name": "share", "summary": "Of answers (WER)"}, {"name": "x"}],
                     ["wer"])  # fmt: skip
    assert [row["name"] for row in found] == ["word_error_rate", "share"], "not what merely holds the letters"
    assert filtered([{"name": "answer"}, {"name": "word_error_rate"}], ["swer"]) == [{"name": "answer"}]
    assert run(["list", "towers", "nothing-like-it"]) == 0
    assert "has 'nothing-like-it' in its name, nor says it anywhere." in capsys.readouterr().out


def test_a_command_that_nexus_has_itself_is_listed_as_unused(rows, whole):
    run_of_its_own = "yield Component(name='run', target='a:b', summary='R')"
    whole.plugin("shadow", f"@hookimpl\ndef nexus_commands():\n    {run_of_its_own}")
    assert {row["name"]: row["summary"] for row in rows("commands")}["run"].startswith("NOT USED: Nexus has")


def test_filters_know_what_there_is(rows, whole, capsys):
    assert [row["name"] for row in rows("towers", "--modality", "image")] == ["image"]
    assert run(["list", "towers", "--modality", "imge"]) == 2
    assert "No row has the modality 'imge'. Did you mean 'image'?" in capsys.readouterr().err
    assert [row["name"] for row in rows("architectures", "--loader", "box")] == ["box"]
    assert run(["list", "architectures", "--loader", "nobody"]) == 2
    assert "No row has the loader 'nobody'" in capsys.readouterr().err
    assert run(["list", "towers", "imagge"]) == 0
    assert "Did you mean 'image'?" in capsys.readouterr().out


def test_architectures_have_columns_that_every_loader_shares(rows):
    found = {row["name"]: row for row in rows("architectures")}
    assert found["box"].keys() >= {"name", "loader", "modalities", "heads", "gguf", "streams"}
    assert found["box"]["streams"] == "untested"
    assert len({tuple(row) for row in found.values()}) == 1, "in every row the same fields"


def test_architectures_are_asked_once_and_again_after_a_change(rows, whole, tmp_path, monkeypatch):
    asked = []
    inner = catalogues._asked
    monkeypatch.setattr(catalogues, "_asked", lambda plugins: asked.append(1) or inner(plugins))
    assert rows("architectures") == rows("architectures")
    assert len(asked) == 1, "the second answer is kept"
    whole.plugin("more", "def nothing(): ...")
    rows("architectures")
    assert len(asked) == 2, "another distribution is installed"
    kept = rows("architectures")
    monkeypatch.setattr(catalogues, "_asked", lambda plugins: asked.append(1) or kept)
    for damage in ("no JSON", "null", "{}", "[1]", '[{"name": "a", "loader": "b"}]', "[" * 10**5,
                   '{"rows": [{"name": "a", "loader": "b"}], "sha256": ""}'):  # fmt: skip
        (next((tmp_path / "cache" / "nexus").iterdir())).write_text(damage)
        assert "box" in [row["name"] for row in rows("architectures")], damage
    assert len(asked) == 9, "a damaged cache is none"


def test_architectures_are_asked_again_after_an_upgrade_anywhere(rows, tmp_path, monkeypatch):
    """Of a library in a folder that is only on the path, as `pip install --target` puts it."""
    asked = []
    inner = catalogues._asked
    monkeypatch.setattr(catalogues, "_asked", lambda plugins: asked.append(1) or inner(plugins))
    (tmp_path / "elsewhere" / "models-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    rows("architectures")
    rows("architectures")
    assert len(asked) == 1
    (tmp_path / "elsewhere" / "models-1.0.dist-info").rename(tmp_path / "elsewhere" / "models-1.1.dist-info")
    rows("architectures")
    assert len(asked) == 2


def test_architectures_are_asked_again_after_one_of_the_same_version_is_installed(rows, tmp_path, monkeypatch):
    """A library from its repository keeps its number while it changes."""
    info = tmp_path / "elsewhere" / "models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("models.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    asked = []
    ask = catalogues._asked
    monkeypatch.setattr(catalogues, "_asked", lambda plugins: asked.append(plugins) or ask(plugins))
    rows("architectures")
    rows("architectures")
    assert len(asked) == 1
    written = (info / "RECORD").stat()
    os.utime(info / "RECORD", ns=(written.st_atime_ns, written.st_mtime_ns + 1_000_000))
    rows("architectures")
    assert len(asked) == 2


def test_architectures_are_listed_where_no_cache_can_be_written(rows, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert "box" in [row["name"] for row in rows("architectures")]


def test_rows_of_one_class_say_the_same_of_it():
    rows = [
        {"architecture": "gguf", "name": "llama", "heads": ["LlamaForCausalLM"], "gguf": "llama"},
        {"architecture": "hf", "name": "llama", "heads": ["LlamaModel", "LlamaForCausalLM"], "modalities": ["text"]},
        {"architecture": "bad", "name": "bad", "error": "ValueError: no"},
    ]
    found = {row["loader"]: row for row in catalogues.joined(rows)}
    assert (found["hf"]["gguf"], found["gguf"]["modalities"]) == ("llama", ["text"])
    assert found["bad"]["error"] == found["bad"]["reason"] == "ValueError: no"
    assert found["gguf"].keys() == found["hf"].keys() == found["bad"].keys() - {"error"}
    assert (found["hf"]["generates"], found["hf"]["sort"], found["hf"]["reason"]) == (False, "", "")


def test_an_unknown_kind_is_a_question(whole, capsys):
    assert run(["list", "towrs"]) == 2
    assert "There is no list of 'towrs'. Did you mean 'towers'?" in capsys.readouterr().err


def test_inspect(whole, capsys):
    assert run(["inspect", "box:half"]) == 0
    out = capsys.readouterr().out
    for text in ("boxes", "Box (box)", "2, width 4", "a tokenizer", "64 tokens"):
        assert text in out
    assert run(["inspect", "box:image", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["loader"], found["gives"], found["stacks"][0]["widths"]) == ("boxes", ["label"], [4, -1])
    wanted = {"path", "count", "widths", "parameters", "active_parameters", "bytes", "dtype"}
    assert found["stacks"][0].keys() >= wanted
    assert found["runs"] is None, "an engine that cannot tell"
    assert run(["inspect", "box:image"]) == 0
    assert "10: a, b, c, d, e, f, g, h, ..." in capsys.readouterr().out


def test_a_filter_of_other_lists_is_said_to_be_one(whole, capsys):
    assert run(["list", "losses", "--modality", "text"]) == 2
    assert "Rows of this list have no modality: leave --modality out." in capsys.readouterr().err


def test_a_shell_completes_lists(whole, capsys, monkeypatch):
    for name, value in {"NEXUS_COMPLETE": "bash_complete", "COMP_WORDS": "nexus list te", "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(f"_{name}" if name.startswith("NEXUS") else name, value)
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.split() == ["plain,teachers"]
