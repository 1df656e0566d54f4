"""A good registry, and broken ones that the kit rejects with advice."""

import sys

import pytest
from nexus_specs import RegistryComponent
from nexus_specs.testing import RegistryTests

GOOD = """\
version: 1
teachers:
  prose:
    source: package:probe_package/teachers/prose
    tower: text
    metric: bits_per_byte
data:
  prose: {reader: jsonl, options: {path: package:probe_package/data.jsonl}}
"""
HOME = "/home/ada"  # scan: example
BROKEN = [
    ("", "Name at least one teacher"),
    (GOOD.replace("version: 1\n", ""), "Begin it with `version: 1`"),
    (GOOD.split("teachers:", maxsplit=1)[0], "Name at least one"),
    (GOOD.replace("    tower", "\ttower"), "Use spaces"),
    (GOOD + "data:\n", "Make one of them"),
    (GOOD + "optimizers:\n", "Sections: version, teachers"),
    (GOOD.replace("metric: bits_per_byte", "metric: nexus_metrics.bytes:BitsPerByte"), "Name the component"),
    (GOOD.replace("package:probe_package/teachers", HOME), "is a path of one machine"),
    (GOOD.replace("data.jsonl", "lost.jsonl"), "Ship it with the package"),
    (GOOD.replace("package:probe_package/t", "package:other_package/t"), "Ship it with the package"),
]


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package with what the good registry names."""
    package = tmp_path / "site" / "probe_package"
    (package / "teachers" / "prose").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data.jsonl").touch()
    monkeypatch.syspath_prepend(package.parent)
    yield package
    sys.modules.pop("probe_package", None)


def made(suite, target="probe_package:registry.yaml"):
    return suite(RegistryTests, RegistryComponent, declared={"target": target})


def test_good_registry_is_accepted(shipped, suite, accepted):
    (shipped / "registry.yaml").write_text(GOOD, encoding="utf-8")
    accepted(made(suite))


@pytest.mark.parametrize(("text", "advice"), BROKEN)
def test_broken_registry_is_rejected(text, advice, shipped, suite, rejected):
    (shipped / "registry.yaml").write_text(text, encoding="utf-8")
    rejected(made(suite), advice)


def test_registry_that_is_not_text_is_rejected(shipped, suite, rejected):
    (shipped / "registry.yaml").write_bytes(b"version: \xff\n")
    rejected(made(suite), "Save it as UTF-8")


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("probe_package:lost.yaml", "[tool.setuptools.package-data]"),
        ("no_such_package:registry.yaml", "with the import name of your package"),
        ("registry.yaml", "is not of the form 'package:path/registry.yaml'"),
    ],
)
def test_target_that_is_not_there_is_rejected(target, advice, shipped, suite, rejected):
    rejected(made(suite, target), advice)
