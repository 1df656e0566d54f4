"""Hostile plugins: whatever one of them does, it is listed with the reason and the others work."""

import re
import subprocess
import sys

import pytest
from nexus_specs import NexusError

GOOD = """
    @hookimpl
    def nexus_losses():
        yield LossComponent(name="good", target="nowhere:Loss", summary="Good")
"""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("raise BaseException('base')", "BaseException: base"),
        (
            "@hookimpl\ndef nexus_engines():\n    while True:\n"
            "        yield Component(name='a', target='b:c', summary='d')",
            "nexus_engines yields more than 10000 components",
        ),
        ("@hookimpl\ndef nexus_engines():\n    return 3", "nexus_engines returned 3; yield Component, or return"),
        ("raise ValueError('a' * 5000 + chr(10) * 9)", "ValueError: " + "a" * 288 + " …"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("import sys\nsys.stdout.close()\n1 / 0", "ZeroDivisionError: division by zero"),
        ("class Odd(Exception):\n    pass\nraise Odd", "Odd"),
        ("@hookimpl\ndef nexus_metric(): ...", "there is no hook 'nexus_metric'. Did you mean 'nexus_metrics'?"),
        ("def nexus_towres(): ...", "there is no hook 'nexus_towres'. Did you mean 'nexus_towers'?"),
        ("def nexus_towers(): ...", "'nexus_towers' is not marked with @hookimpl"),
        ("@hookimpl\ndef nexus_towers(context): ...", "'nexus_towers' takes context; it is given none"),
        ("@hookimpl\ndef nexus_unit_started(runs): ...", "'nexus_unit_started' takes runs; it is given unit, run"),
        ("@hookimpl(specname='nexus_towers')\ndef mine(context): ...", "PluginValidationError"),
        (
            "@hookimpl\ndef nexus_losses():\n    raise RuntimeError('late')\n    yield",
            "nexus_losses failed: RuntimeError: late",
        ),
        ("@hookimpl\ndef nexus_losses():\n    raise SystemExit('late')\n    yield", "SystemExit: late"),
        (
            "@hookimpl\ndef nexus_engines():\n    yield Component(name='a', target='b:c', summary='')",
            "summary of 'a' is ''; say in words",
        ),
        (
            "@hookimpl\ndef nexus_losses():\n    return LossComponent(name='a', target='b:c', summary='d')",
            "nexus_losses returned one LossComponent; yield it",
        ),
        (
            "@hookimpl\ndef nexus_towers():\n    yield Component(name='a', target='b:c', summary='d')",
            "nexus_towers yields TowerComponent, not Component",
        ),
        (
            "@hookimpl\ndef nexus_engines():\n    yield LossComponent(name='a', target='b:c', summary='d')",
            "nexus_engines yields Component, not LossComponent",
        ),
        ("@hookimpl\ndef nexus_engines():\n    yield 'sli'", "not str ('sli')"),
        (
            "@hookimpl\ndef nexus_engines():\n    yield Component(name='a b', target='b:c', summary='d')",
            "yields the name 'a b'; use letters",
        ),
        (
            "@hookimpl\ndef nexus_engines():\n    yield Component(name='a', target='b.c', summary='d')",
            "target of 'a' is 'b.c'; write it as \"module:attr\"",
        ),
        (
            "@hookimpl\ndef nexus_stages():\n"
            "    yield StageComponent(name='a', target='b:c', summary='d', scope='core', needs='train')",
            "needs of 'a' is 'train'; write a tuple",
        ),
        (
            "@hookimpl\ndef nexus_engines():\n"
            "    yield Component(name='a', target='b:c', summary='d', requires=('av>',))",
            "requires of 'a' holds 'av>'",
        ),
    ],
)
def test_a_broken_plugin_is_listed_and_stops_no_other(site, source, reason):
    site.plugin("good", GOOD)
    site.module("bad_plugin", "from nexus_specs import *\n" + source)
    site.distribution("acme-bad", points={"bad": "bad_plugin"})
    plugins = site.found()
    assert plugins.found["bad"].state == "broken"
    assert reason in plugins.found["bad"].reason
    assert list(plugins.components("loss")) == ["good"]


def test_an_interruption_is_no_fault_of_the_plugin(site):
    site.plugin("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.found()


def test_a_hook_may_take_less_or_have_defaults_of_its_own(site):
    site.plugin("watch", "@hookimpl\ndef nexus_unit_started(unit, mine=1, **more): ...")
    assert site.found().found["watch"].state == "loaded"


def test_a_hook_under_another_name_is_a_hook(site):
    site.plugin("good", '@hookimpl(specname="nexus_losses")\ndef mine():\n    return []')
    assert site.found().found["good"].state == "loaded"


def test_what_a_plugin_prints_as_it_loads_is_no_data(site, capsys):
    site.plugin("loud", "print('HELLO')")
    assert site.found().found["loud"].state == "loaded"
    assert capsys.readouterr() == ("", "HELLO\n")


def test_a_plugin_that_wraps_stdout_takes_no_stream_with_it(site):
    site.plugin("wraps", "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')")
    site.plugin("closes", "import sys\nsys.stdout.close()")
    command = [sys.executable, "-c", "import sys; from nexus_host.__main__ import main; main(sys.argv[1:])"]
    found = subprocess.run([*command, "list", "plugins"], capture_output=True, text=True, check=True)
    rows = {line.split()[0]: line.split()[1] for line in found.stdout.splitlines()[3:] if line[0] != " "}
    assert (rows["wraps"], rows["closes"]) == ("loaded", "loaded")


def test_the_time_of_an_import_is_known(site):
    site.plugin("slow", "import time\ntime.sleep(0.05)")
    assert site.found().found["slow"].seconds >= 0.05


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("Requires-Python: >=99\n", "needs Python >=99"),
        ("Requires-Dist: nexus-specs>=99\n", "needs nexus-specs>=99, 0."),
        ("Requires-Dist: Nexus_Specs ~= 99.0\n", "needs Nexus_Specs~=99.0"),
        ("Requires-Dist: nexus-specs ===== 3\n", "its metadata cannot be read"),
        ("Requires-Python: soon\n", "its metadata cannot be read"),
    ],
)
def test_an_incompatible_plugin_is_not_even_imported(site, metadata, reason):
    site.plugin("new", "raise RuntimeError('imported')", metadata=metadata)
    plugin = site.found().found["new"]
    assert plugin.state == "incompatible"
    assert reason in plugin.reason


def test_other_requirements_are_left_to_pip(site):
    metadata = (
        "Requires-Dist: not-there>=9\nRequires-Dist: nexus-specs>=99; python_version < '3'\nRequires-Python: >=3\n"
    )
    site.plugin("fine", GOOD, metadata=metadata)
    assert site.found().found["fine"].state == "loaded"


def test_the_first_of_two_copies_of_a_distribution_counts(site):
    site.plugin("good", GOOD)
    site.distribution("Acme_Good", "0.9", {"good": "not_there"})
    assert site.found().found["good"].state == "loaded"


def test_damaged_metadata_stops_nothing(site):
    site.plugin("good", GOOD)
    info = site.folder / "odd-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[nexus.plugins]\nodd = not_there\n")
    plugins = site.found()
    assert plugins.found["odd"].distribution == "odd"
    assert plugins.found["odd"].state == "broken"
    assert plugins.found["good"].state == "loaded"


@pytest.mark.parametrize(
    ("points", "name", "reason"),
    [
        (b"[nexus.plugins]\nodd = my-plugin.plugin\n", "odd", "its entry point is 'my-plugin.plugin'; name a module"),
        (b"[nexus.plugins]\nodd = \n", "odd", "its entry point is ''"),
        (b"[nexus.plugins]\nodd\n", "acme-odd", r"its entry_points\.txt cannot be read"),
        (b"[nexus.plugins]\nodd = caf\xe9\n", "acme-odd", r"its entry_points\.txt cannot be read: UnicodeDecodeError"),
    ],
)
def test_damaged_entry_points_stop_nothing_and_can_be_switched_off(site, points, name, reason):
    site.plugin("good", GOOD)
    site.distribution("acme-odd")
    (site.folder / "acme_odd-1.0.dist-info" / "entry_points.txt").write_bytes(points)
    plugins = site.found()
    assert (plugins.found[name].state, plugins.found[name].distribution) == ("broken", "acme-odd")
    assert re.search(reason, plugins.found[name].reason)
    assert plugins.found["good"].state == "loaded"
    assert site.found(["acme-odd"]).found[name].state == "blocked"


def test_damaged_metadata_of_others_is_nothing_to_us(site):
    site.plugin("good", GOOD)
    for name, points in (("other", b"[console_scripts]\nx\n"), ("more", b"\xff"), ("none", None)):
        site.distribution(name)
        info = site.folder / f"{name}-1.0.dist-info"
        (info / "METADATA").write_bytes(b"\xff\xfe")
        (info / "entry_points.txt").unlink()
        if points is not None:
            (info / "entry_points.txt").write_bytes(points)
    assert list(site.found().found) == ["good"]


def test_a_plugin_whose_metadata_cannot_be_read_says_so(site):
    site.plugin("good", GOOD)
    site.plugin("odd", GOOD)
    (site.folder / "acme_odd-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    plugin = site.found().found["odd"]
    assert (plugin.distribution, plugin.version, plugin.state) == ("acme_odd", "unknown", "incompatible")
    assert "its metadata cannot be read" in plugin.reason


def test_plugins_are_sorted_by_name(site):
    for name in ("zebra", "ant", "mouse"):
        site.plugin(name, "")
    assert list(site.found().found) == ["ant", "mouse", "zebra"]


@pytest.mark.parametrize("name", ["bad", "acme-bad", "Acme_Bad"])
def test_blocking_by_flag(site, name):
    site.plugin("bad", "raise RuntimeError('imported')")
    plugin = site.found([name]).found["bad"]
    assert (plugin.state, plugin.reason) == ("blocked", "by --without")


def test_blocking_by_environment(site, monkeypatch):
    site.plugin("bad", "raise RuntimeError('imported')")
    monkeypatch.setenv("NEXUS_WITHOUT", "not-here, bad,")
    assert site.found().found["bad"].reason == "by NEXUS_WITHOUT"


def test_blocking_what_is_not_there_is_a_question(site):
    site.plugin("thermal", "")
    with pytest.raises(NexusError, match=r"no plugin is named 'termal'\. Did you mean 'thermal'\?"):
        site.found(["termal"])


def test_two_distributions_of_one_plugin_name_both_fail(site):
    site.plugin("good", GOOD)
    site.plugin("twin", "raise RuntimeError('imported')", distribution="acme-one")
    site.distribution("acme-two", "2.0", {"twin": "twin_plugin"})
    plugins = site.found()
    assert plugins.found["twin"].state == "double"
    assert "acme-one 1.0, acme-two 2.0" in plugins.found["twin"].reason
    assert list(plugins.components("loss")) == ["good"]
    with pytest.raises(NexusError, match=r"No loss is named 'twins'.* Not loaded: twin \(double\)"):
        plugins.component("loss", "twins")


def test_one_of_two_of_a_plugin_name_can_be_blocked(site):
    site.plugin("twin", GOOD, distribution="acme-one")
    site.distribution("acme-two", "2.0", {"twin": "not_there"})
    assert site.found(["acme-two"]).found["twin"].state == "loaded"


def test_two_components_of_one_name_both_fail_where_they_are_used(site):
    site.plugin("one", GOOD + GOOD.replace("losses", "engines").replace("LossComponent", "Component"))
    site.plugin("two", GOOD, version="2.0")
    plugins = site.found()
    assert not plugins.components("loss")
    assert list(plugins.components("engine")) == ["good"]
    with pytest.raises(NexusError, match=r"plugin 'one' \(acme-one 1.0\), plugin 'two' \(acme-two 2.0\)"):
        plugins.make("loss", "good")
    assert "good" in plugins.doubles("loss")
    assert list(site.found(["two"]).components("loss")) == ["good"]


def test_unknown_names_and_kinds_are_questions(site):
    site.plugin("good", GOOD)
    plugins = site.found()
    with pytest.raises(NexusError, match=r"No loss is named 'god'\. Did you mean 'good'\? Available: good\."):
        plugins.component("loss", "god")
    with pytest.raises(NexusError, match=r"'los' is no kind of component\. Did you mean 'loss'\?"):
        plugins.components("los")
