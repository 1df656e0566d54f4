"""From a descriptor to the thing: provenance, options, making, opening, events."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nexus_specs import NexusError, Unit


def test_a_provider_names_distribution_and_files(whole):
    whole.distribution(
        "acme-package",
        points={"package": "acme_package.plugin"},
        direct_url_json=json.dumps({"url": "file:///home", "dir_info": {"editable": True}}),
    )
    whole.module("acme_package.__init__")
    whole.module("acme_package.inner.deep", "VALUE = 1")
    source = "yield Component(name='mine', target='acme_package.inner.deep:VALUE', summary='Mine')"
    whole.module("acme_package.plugin", f"from nexus_specs import *\n@hookimpl\ndef nexus_executors():\n    {source}\n")
    provider = whole.found().provider("executor", "mine")
    assert (provider.plugin, provider.distribution, provider.version) == ("package", "acme-package", "1.0")
    assert provider.editable
    assert [file.name for file in provider.files] == ["__init__.py", "deep.py", "plugin.py"]


def test_a_plugin_of_single_modules_has_files_too(plugins):
    provider = plugins.provider("tower", "text")
    assert [file.name for file in provider.files] == ["whole_parts.py", "whole_plugin.py"]
    assert not provider.editable


@pytest.mark.parametrize("text", ["no json", "[]", "{}"])
def test_an_odd_direct_url_is_not_editable(site, text):
    site.plugin("a", "", direct_url_json=text)
    assert not site.found().found["a"].editable


def test_making_completes_options(plugins):
    assert plugins.make("loss", "kl").options == {"temperature": 1.0}
    assert plugins.make("loss", "kl", temperature=2).options == {"temperature": 2.0}
    assert plugins.make("loss", "anchor", anything=1).options == {"anything": 1}
    assert type(plugins.make("stage", "train", steps=3)).__name__ == "Stage"


def test_what_a_component_changes_of_the_process_is_put_back(plugins, monkeypatch, tmp_path):
    before = Path.cwd()
    stage = type(plugins.make("stage", "train"))
    monkeypatch.setattr(stage, "__init__", lambda self: os.chdir(tmp_path))
    plugins.make("stage", "train")
    assert Path.cwd() == before


def test_every_mistake_in_options_is_reported(plugins):
    with pytest.raises(NexusError) as error:
        plugins.make("tower", "text", rang=4, rank=0, vocabulary="owen")
    assert str(error.value).splitlines() == [
        "Options of the tower 'text':",
        "  rang: unknown option. Did you mean 'rank'? Allowed: rank, vocabulary.",
        "  rank: is 0; at least 1 is allowed",
        "  vocabulary: is 'owen'; allowed: 'auto', 'core', 'own'. Did you mean 'own'?",
    ]


@pytest.mark.parametrize(
    ("kind", "name", "given", "problem"),
    [
        ("metric", "accuracy", {"k": 9}, "k: is 9; at most 5 is allowed"),
        ("loss", "kl", {"temperature": float("nan")}, "temperature: is nan; write a finite number"),
        ("metric", "accuracy", {"k": True}, "k: is True; it is a whole number"),
        ("metric", "accuracy", {"k": "two"}, "k: is 'two'; it is a whole number (input should be a valid integer"),
        ("loss", "kl", {"temperature": []}, "temperature: is []; it is a number"),
        ("reader", "lines", {"columns": {"text": 3}}, "columns.text: is 3; it is Mapping[str, str]"),
        ("reader", "lines", {"columns": 3}, "columns: is 3; it is Mapping[str, str]"),
    ],
)
def test_options_are_checked_by_type_and_range(plugins, kind, name, given, problem):
    ((path, message),) = plugins.option_problems(kind, name, given)
    assert f"{path}: {message}".startswith(problem)


def test_options_without_a_default_are_required(site):
    site.plugin(
        "a",
        "@hookimpl\ndef nexus_engines():\n    "
        "yield Component(name='x', target='a_parts:X', summary='X', options='a_parts:O')",
    )
    site.module(
        "a_parts",
        """
        from dataclasses import dataclass, field
        @dataclass
        class Inner:
            deep: int = 1
        @dataclass
        class O:
            must: int
            inner: Inner = field(default_factory=Inner)
            many: list[int] = field(default_factory=list, metadata={"help": "Many", "unknown": 1})
        class X:
            def __init__(self, **options):
                self.options = options
        """,
    )
    plugins = site.found()
    assert plugins.option_problems("engine", "x", {}) == [("must", "is missing; it is a whole number")]
    assert plugins.option_problems("engine", "x", {"must": 1, "many": [1, "x"]})[0][0] == "many.1"
    made = plugins.make("engine", "x", must=3, inner={"deep": 2})
    assert made.options["inner"].deep == 2
    assert plugins.options("engine", "x", {"must": 1})["many"] == []


def test_options_that_cannot_be_read_are_an_error_in_words(site):
    site.plugin(
        "a",
        "@hookimpl\ndef nexus_engines():\n    "
        "yield Component(name='x', target='a_parts:X', summary='X', options='a_parts:X')",
    )
    site.module("a_parts", "X = 3")
    with pytest.raises(NexusError, match=r"The options 'a_parts:X' cannot be read: TypeError"):
        site.found().make("engine", "x")


def test_what_has_to_be_installed_is_said_before_the_import(site):
    site.plugin(
        "a",
        """
        @hookimpl
        def nexus_engines():
            yield Component(name="x", target="a_parts:X", summary="X", requires=("not-there>=3",))
            yield Component(name="y", target="a_parts:X", summary="Y", requires=("pluggy>=99",))
        """,
    )
    site.module("a_parts", "raise RuntimeError('imported')")
    plugins = site.found()
    needs = (
        r"The engine 'x' of plugin 'a' \(acme-a 1.0\) needs not-there>=3, which is not installed. "
        r"Type: pip install 'not-there>=3'"
    )
    with pytest.raises(NexusError, match=needs):
        plugins.make("engine", "x")
    with pytest.raises(NexusError, match=r"needs pluggy>=99, \d+\.\d+.* is installed"):
        plugins.make("engine", "y")


@pytest.mark.parametrize(("body", "reason"), [("raise SystemExit(1)", "SystemExit"), ("", "AttributeError")])
def test_a_target_that_does_not_import_is_an_error_in_words(site, body, reason):
    site.plugin("a", "@hookimpl\ndef nexus_engines():\n    yield Component(name='x', target='a_parts:X', summary='X')")
    site.module("a_parts", body)
    with pytest.raises(NexusError, match=rf"cannot be imported from 'a_parts:X': {reason}"):
        site.found().make("engine", "x")


def test_the_loader_with_the_highest_claim_opens(plugins):
    assert plugins.loader("box:a") == "boxes"
    assert plugins.inspect("box:a").family == "box"
    assert plugins.open("box:a") == ("open", "box:a", plugins)
    with pytest.raises(NexusError, match=r"No loader opens 'jar:a': there is nothing at .*jar:a\..*Tried: boxes\."):
        plugins.inspect("jar:a")


ARCHITECTURE = """
    @hookimpl
    def nexus_architectures():
        yield ArchitectureComponent(name="{name}", target="{name}_parts:{target}", summary="Opens", catalogue="{rows}")
"""


def test_what_nothing_opens_is_said_in_words(plugins, tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "notes.txt").touch()
    cases = {
        f"{tmp_path}/wrods": "Did you mean 'words'?",
        f"{tmp_path}/words": r"has no config\.json \(it holds notes\.txt\)",
        f"{tmp_path}/words/notes.txt": r"it is a file\..* Name the folder",
        "package:no_such_package/x": "The package 'no_such_package' of .* is not installed. Install it with pip",
    }
    for source, message in cases.items():
        with pytest.raises(NexusError, match=message):
            plugins.loader(source)
    (tmp_path / "words" / "config.json").write_text('{"model_type": "odd"}')
    with pytest.raises(NexusError, match="of the model type 'odd', which no loader knows") as caught:
        plugins.loader(f"{tmp_path}/words")
    assert "Not loaded" not in str(caught.value)


def test_what_might_have_opened_a_source_is_named(site, tmp_path):
    site.plugin("acme", "import nothing_like_it")
    (tmp_path / "config.json").write_text('{"model_type": "odd"}')
    with pytest.raises(NexusError, match=r"Not loaded: acme \(broken\); see `nexus doctor`\."):
        site.found().loader(f"{tmp_path}")


def test_a_tie_between_loaders_names_both_and_a_failing_one_is_passed_over(whole):
    whole.plugin("more", ARCHITECTURE.format(name="more", target="More", rows=""))
    whole.module("more_parts", "class More:\n    def match(self, source):\n        return int('tie' in source)")
    whole.plugin("odd", ARCHITECTURE.format(name="odd", target="Odd", rows="odd_parts:rows"))
    whole.module("odd_parts", "class Odd:\n    def match(self, source):\n        raise ValueError('odd')")
    plugins = whole.found()
    assert plugins.loader("box:a") == "boxes"
    with pytest.raises(NexusError, match="claim 'box:tie' alike: boxes and more"):
        plugins.open("box:tie")
    with pytest.raises(NexusError, match=r"Tried: boxes, more\. Failed: odd: odd"):
        plugins.open("jar")
    rows = {row["architecture"]: row for row in plugins.catalogue("architecture")}
    assert rows["box"]["generates"]
    assert rows["more"]["summary"] == "Opens"
    assert "has no attribute 'rows'" in rows["odd"]["error"]


def test_dataset_cards_are_joined(plugins):
    assert plugins.catalogue("dataset") == [
        {"dataset": "cards", "name": "shakes", "summary": "Plays", "licence": "CC0"}
    ]


CATALOGUE = """
    @hookimpl
    def nexus_datasets():
        yield DatasetComponent(name="{name}", target="{name}_rows:rows", summary="Cards")
"""


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7", r"is 7; give a mapping"),
        ("{}", "has no name"),
        ("{'name': 5}", "has 5 as name; give a text"),
        ("{'name': 'a', 'tags': 'code'}", "has 'code' as tags; give a list of words"),
        ("{'name': 'a', 'columns': None}", "has None as columns; give a list of words"),
        ("{'name': 'a', 'options': []}", r"has \[\] as options; give a mapping"),
        ("{'name': 'a', 'rows': {1}}", "holds what JSON does not keep"),
    ],
)
def test_a_row_that_is_none_spoils_no_other(site, row, reason):
    site.plugin("acme", CATALOGUE.format(name="acme"))
    site.module("acme_rows", f"def rows():\n    return [{row}, {{'name': 'sums'}}]")
    wrong, right = site.found().catalogue("dataset")
    assert re.search(f"row 0 of its catalogue {reason}", wrong["error"])
    assert wrong["name"] == "acme"
    assert right == {"dataset": "acme", "name": "sums"}


def test_a_data_set_of_two_catalogues_is_of_neither(site):
    for name in ("one", "two"):
        site.plugin(name, CATALOGUE.format(name=name))
        site.module(f"{name}_rows", f"def rows():\n    return [{{'name': 'sums'}}, {{'name': '{name}'}}]")
    rows = site.found().catalogue("dataset")
    assert [row["name"] for row in rows if "error" not in row] == ["one", "two"]
    assert "the plugins one and two both offer it, so neither is used" in rows[0]["error"]


def test_what_is_missing_of_a_component_is_known_without_importing_it(site):
    body = "yield LossComponent(name='{0}', target='{1}', summary='L', requires={2})"
    losses = [("here", "bits.heavy:Loss", ()), ("gone", "bits.nothing:Loss", ()), ("poor", "bits:Loss", ("nosuch>=2",))]
    site.plugin("more", "@hookimpl\ndef nexus_losses():\n    " + "\n    ".join(body.format(*each) for each in losses))
    site.module("bits.__init__", "raise RuntimeError")
    site.module("bits.heavy", "raise RuntimeError")
    plugins = site.found()
    assert [plugins.unfound("loss", name) for name, *_ in losses if name != "gone"] == ["", ""]
    assert plugins.unfound("loss", "gone").endswith("is said to be bits.nothing:Loss, and no module is bits.nothing")
    assert [bool(plugins.unmet("loss", name)) for name, *_ in losses] == [False, False, True]
    assert "bits" not in sys.modules


def test_stage_switches_are_found(plugins):
    ((stage, field),) = plugins.flags()
    assert (stage, field.flag, field.type, field.default) == ("release", "--allow-below", bool, False)


def test_observers_are_isolated(site, capsys):
    site.plugin("bad", "@hookimpl\ndef nexus_unit_started(unit, run):\n    raise SystemExit('no')")
    site.plugin("good", "@hookimpl\ndef nexus_unit_started(unit, run):\n    (run / 'pause').touch()")
    site.plugin("off", "raise ValueError")
    plugins = site.found()
    unit = Unit(stage="train", subject="words", fingerprint="0")
    for _ in range(2):
        plugins.notify("nexus_unit_started", unit=unit, run=Path(site.folder))
    assert (site.folder / "pause").exists()
    said = capsys.readouterr().err.splitlines()
    assert said == ["The nexus_unit_started observer of plugin 'bad' (acme-bad 1.0) failed: SystemExit('no')"]


PROBE = """
import io, sys, contextlib
from nexus_host.__main__ import run
for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        code = run(line.split())
    assert code == 0, (line, code)
heavy = sorted({"torch", "numpy", "transformers", "pandas", "pyarrow"} & set(sys.modules))
print(heavy)
"""


def test_help_and_listings_leave_heavy_libraries_alone():
    """With the plugins that are really installed."""
    kinds = ("plugins", "engines", "towers", "losses", "stages", "readers", "commands", "metrics", "teachers")
    lines = ["--help", "run --help", "schema", "list", *(f"list {kind}" for kind in kinds)]
    done = subprocess.run([sys.executable, "-c", PROBE, *lines], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
