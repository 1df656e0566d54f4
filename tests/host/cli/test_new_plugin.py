"""`nexus new-plugin`: every kind of package is whole, and its own tests pass unchanged."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_host.__main__ import run
from nexus_host.cli.catalogues import joined
from nexus_host.scaffolding import KINDS

METADATA = """
import os, sys
from setuptools.build_meta import prepare_metadata_for_build_editable
os.chdir(sys.argv[2])
prepare_metadata_for_build_editable(sys.argv[1])
"""
"""What `pip install -e` has setuptools write, without the index."""


def execute(*command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_packages_of_every_kind_pass_their_own_tests(tmp_path):
    homes = []
    for kind in KINDS:
        assert run(["new-plugin", kind, f"acme-thermal-{kind}", "--dir", str(tmp_path)]) == 0
        homes.append(str(tmp_path / f"acme-thermal-{kind}"))
    sites = [str(tmp_path / "sites" / kind) for kind in KINDS]
    for site, home in zip(sites, homes, strict=True):
        Path(site).mkdir(parents=True)
        execute(sys.executable, "-c", METADATA, site, home)
    path = os.pathsep.join([*sites, *homes, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    out = execute(*command, "--rootdir", str(tmp_path), *homes, PYTHONPATH=path, OMP_NUM_THREADS="1")
    assert " passed" in out
    assert " skipped" not in out
    listed = execute(sys.executable, "-m", "nexus_host", "list", "plugins", "--json", PYTHONPATH=path)
    for kind in KINDS:
        assert f'"{kind} acme-thermal-{kind}"' in listed


def test_the_files_are_told_on_stdout(tmp_path, capsys):
    assert run(["new-plugin", "metric", "acme-hot", "--dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert str(tmp_path / "acme-hot" / "acme_hot" / "metric.py") in out.splitlines()
    assert "pip install -e" in err
    assert "class AcmeHot:" in (tmp_path / "acme-hot" / "acme_hot" / "metric.py").read_text()


def test_an_architecture_says_in_the_listing_what_it_takes(tmp_path, monkeypatch):
    assert run(["new-plugin", "architecture", "acme-listed", "--dir", str(tmp_path)]) == 0
    monkeypatch.syspath_prepend(str(tmp_path / "acme-listed"))
    from acme_listed.options import catalogue

    (row,) = joined([{"architecture": "acme-listed"} | dict(each) for each in catalogue()])
    assert (row["name"], row["loader"], row["modalities"]) == ("acme-listed", "acme-listed", ["text"])


def test_a_package_is_written_whole_or_not_at_all(tmp_path, capsys, monkeypatch):
    write, left = Path.write_text, iter(range(3))

    def full(path, *given, **how):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *given, **how)

    monkeypatch.setattr(Path, "write_text", full)
    assert run(["new-plugin", "metric", "acme-hot", "--dir", str(tmp_path)]) == 1
    assert "Error: No space left on device. Free some of it; the same command goes on" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Path, "write_text", write)
    (tmp_path / "acme-hot").mkdir()
    assert run(["new-plugin", "metric", "acme-hot", "--dir", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("kind", "name", "message", "code"),
    [
        ("towr", "acme", "There is no template for 'towr'. Did you mean 'tower'?", 2),
        ("tower", "Acme Thermal", "'Acme Thermal' cannot be a package", 2),
        ("tower", "class", "'class' cannot be a package", 2),
        ("tower", "torch", "A package 'torch' is installed here", 2),
        ("tower", "json", "A package 'json' is installed here", 2),
        ("tower", "text", "A tower 'text' is here already", 2),
        ("tower", "taken", "is there already, and not empty", 1),
    ],
)
def test_what_cannot_be_is_said(tmp_path, capsys, kind, name, message, code):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert run(["new-plugin", kind, name, "--dir", str(tmp_path)]) == code
    assert message in capsys.readouterr().err
