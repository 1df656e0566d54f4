"""`verify` and `evaluate` on a release that a stranger's loader opens, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from nexus_observe import verifying
from nexus_observe.release import capabilities, copied_tensors, damaged, read_manifest
from nexus_observe.verifying import Evaluate, Verify, kept, oversized, score_copy, scored, show, unlike
from nexus_specs import Budget, Installed, NexusError, Sample
from nexus_torch.files import file_hash
from nexus_torch.identity import file_hashes

PLUGIN = """
    from pathlib import Path
    import numpy as np
    from nexus_specs import ArchitectureComponent, Installed, ReaderComponent, Sample, content_key, hookimpl
    from nexus_specs.installed import loader

    class Release:
        def match(self, source):
            return 3 * (Path(source.partition("#")[0]) / "release.txt").is_file()
        def inspect(self, source):
            return self.open(source, Installed()).blueprint
        def open(self, source, lookup):
            return lookup.make("architecture", "transformers").open(source.partition("#")[0], lookup)

    class Pictures:
        def __init__(self, file):
            self.file = file
        def fingerprint(self, split):
            return "the data"
        def samples(self, split, start=0):
            with np.load(self.file) as rows:
                for image, label in zip(rows["image"], rows["label"], strict=True):
                    fields = {"image": image, "label": int(label)}
                    yield Sample(key=content_key(fields), fields=fields)

    @hookimpl
    def nexus_architectures():
        yield ArchitectureComponent(name="acme", target="acme:Release", summary="A release")

    @hookimpl
    def nexus_readers():
        yield ReaderComponent(name="acme-pictures", target="acme:Pictures", summary="Pictures")
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plugin that only new processes see: the folder that it lies in."""
    site = tmp_path_factory.mktemp("site")
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme.py").write_text(dedent(PLUGIN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nexus.plugins]\nacme = acme\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
        yield site


@pytest.fixture(scope="module")
def original(
    tmp_path_factory: pytest.TempPathFactory, sources: Mapping[str, Path], data: Mapping[str, list[Sample]]
) -> Path:
    """A student's release: a random classifier; its teacher is another one."""
    place, teacher = tmp_path_factory.mktemp("original"), sources["digits"]
    folder = place / "release"
    shutil.copytree(sources["digits-student"], folder)
    (folder / "release.txt").write_text("a release\n")
    labelled = [sample for sample in data["digits"] if "label" in sample.fields]
    images = np.stack([sample.fields["image"] for sample in labelled])
    np.savez(place / "held_out.npz", image=images, label=[sample.fields["label"] for sample in labelled])
    score = measured(sources["digits-student"], labelled[:4])
    capability = {
        "name": "digits", "tower": "digits", "teacher": "digits", "metric": "accuracy", "metric_options": {},
        "data": {"name": "acme-pictures", "options": {"file": str(place / "held_out.npz")}}, "floor": 0.1,
        "teacher_score": 0.9, "student_score": score, "forced_score": score, "control_score": 0.2, "items": 4,
    }  # fmt: skip
    manifest = {
        "schema": "nexus.release/1",
        "capabilities": [capability],
        "parameters": {"student": 10, "teachers": 100, "towers": {"digits": 5}},
        "teachers": {
            "digits": {
                "source": str(teacher),
                "parameters": 100,
                "tensors": sorted({hashed for _, hashed in file_hashes(teacher / "model.safetensors")} - {""}),
            }
        },
    }
    sign(folder, manifest)
    return folder


@pytest.fixture
def release(original: Path, tmp_path: Path, stranger: Path) -> Path:
    """A copy of it, of the test's own."""
    return Path(shutil.copytree(original, tmp_path / "release"))


@dataclass
class Verified:
    """What came of a verification: its exit code, what it printed, and what its process had found."""

    code: int
    printed: str
    found: dict[str, Any]


@pytest.fixture(scope="module")
def verified(original: Path, tmp_path_factory: pytest.TempPathFactory, stranger: Path) -> Verified:
    """The verification of a good release whose tower needs a decoder of somebody else's, which lies beside it."""
    place = tmp_path_factory.mktemp("verified")
    release = Path(shutil.copytree(original, place / "release"))
    decoder = {"name": "codec", "tower": "digits", "source": "codec", "licence": "MIT", "parameters": 40,
               "sha256": {"release.txt": file_hash(release / "release.txt")}, "tensors": {}}  # fmt: skip
    changed(release, lambda manifest: manifest.update(decoders=[decoder]))
    changed(release, lambda manifest: manifest["parameters"].update(decoders=40))
    (place / "codec").mkdir()
    shutil.copy(release / "release.txt", place / "codec")
    found: list[dict[str, Any]] = []

    def kept(*given: Any) -> dict[str, Any]:
        found.append(score_copy(*given))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr(verifying, "score_copy", kept)
        code = Verify(release=release, data=(str(place),))(Installed())
    return Verified(code, printed.getvalue(), found[0])


@pytest.fixture
def known(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process found of the original is known, and no other is started."""
    monkeypatch.setattr(verifying, "score_copy", lambda *_: verified.found)


def sign(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "manifest.json").unlink(missing_ok=True)
    files = {path.relative_to(folder).as_posix(): file_hash(path) for path in folder.rglob("*") if path.is_file()}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": files}))


def measured(source: Path, samples: list[Sample]) -> float:
    from nexus_observe.rows import judged, measure

    lookup = Installed()
    metric = lookup.make("metric", "accuracy")
    with lookup.make("engine", "sli").load(lookup.open(str(source)), Budget()) as model:
        return float(metric.reduce(judged(measure(model, samples, metric))))


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = read_manifest(folder)
    change(manifest)
    sign(folder, manifest)


def test_a_good_release_is_verified_with_its_teacher_out_of_reach(verified: Verified) -> None:
    assert verified.code == 0
    assert "1 of 1 teachers put out of reach" in verified.printed
    assert "codec of digits (its files are those of the manifest)" in verified.printed
    assert "Verified." in verified.printed


def test_teachers_that_the_manifest_names_without_a_place_are_found_by_the_run_and_kept_away_without_landlock_too(
    release: Path, sources: Mapping[str, Path], stranger: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (release.parent / "without").mkdir()
    (release.parent / "without" / "sitecustomize.py").write_text(
        "from nexus_observe import landlock\nlandlock.restrict = lambda roots: landlock.Kept(False, False)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(release.parent / "without"), prepend=os.pathsep)
    changed(release, lambda manifest: manifest["teachers"]["digits"].update(source="digits"))
    lines = ["teachers:", "  digits:", f"    source: {sources['digits']}", "  other:", "    source: .", ""]
    (release.parent / "registry.yaml").write_text("\n".join(lines))
    assert Verify(release=release)(Installed()) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 teachers put out of reach" in printed
    assert "Python's audit hooks kept them" in printed


def test_other_data_than_those_that_were_judged_are_refused(release: Path) -> None:
    changed(release, lambda manifest: manifest["capabilities"][0]["data"].update(hash="another"))
    with pytest.raises(NexusError, match=r"cannot be scored[\s\S]*are not those that were judged[\s\S]*--data FOLDER"):
        Verify(release=release)(Installed())


def test_claims_that_do_not_hold_are_named(release: Path, known: None, capsys: Any) -> None:
    changed(release, lambda manifest: manifest["capabilities"][0].update(student_score=0.123))
    changed(release, lambda manifest: manifest["parameters"].update(student=51))
    assert Verify(release=release)(Installed()) == 1
    printed = capsys.readouterr().out
    assert "student score is" in printed
    assert "more than half of all" in printed
    assert "2 of its claims" in printed


def test_a_release_that_needs_its_teacher_fails(release: Path, sources: Mapping[str, Path]) -> None:
    (release / "config.json").unlink()
    (release / "config.json").symlink_to(sources["digits"] / "config.json")
    changed(release, lambda manifest: None)
    (release / "release.txt").write_text("another\n")
    code = f"""
        import sys
        from pathlib import Path
        from nexus_observe.denial import deny
        assert deny([Path({str(sources["digits"])!r})])[0]
        from nexus_specs import Installed
        Installed().open({str(release)!r})
    """
    ended = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert ended.returncode
    assert "NexusError" in ended.stderr or "PermissionError" in ended.stderr


def test_teachers_without_recorded_weights_are_named(release: Path) -> None:
    manifest = read_manifest(release)
    assert unlike(manifest) == "no tensor is a teacher's"
    manifest["teachers"]["digits"]["unknown"] = 2
    manifest["teachers"]["packed"] = {"parameters": 5}
    assert unlike(manifest).endswith("as far as they are on record: not those of packed, 2 tensors of digits")
    manifest["teachers"]["digits"]["tensors"] = []
    assert "none was compared" in unlike(manifest)


def test_the_report_says_who_kept_them_away() -> None:
    assert "no other program could start" in kept({"files": True, "network": False})


def test_scores_are_shown_and_given_as_json(release: Path, known: None, capsys: Any) -> None:
    assert Evaluate(release=release, json=True)(Installed()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digits"]["items"] == 4, "as many as the manifest says, the first ones"
    show(scored(capabilities(read_manifest(release)), found))
    assert "retention" in capsys.readouterr().out


def test_a_copy_without_weights_does_not_open(release: Path) -> None:
    (release / "model.safetensors").unlink()
    with pytest.raises(NexusError, match="no weights"):
        Installed().open(str(release))


def test_changed_missing_and_foreign_files_are_named(release: Path) -> None:
    (release / "release.txt").write_text("changed\n")
    (release / "preprocessor_config.json").unlink()
    (release / "extra.txt").write_text("?")
    found = damaged(release, read_manifest(release))
    assert found == [
        "preprocessor_config.json: missing", "release.txt: changed", "extra.txt: not in the manifest",
    ]  # fmt: skip


def test_a_copied_weight_is_found_in_any_dtype(release: Path, sources: Mapping[str, Path]) -> None:
    from nexus_torch.files import read_tensors, write_tensors

    assert not copied_tensors(release, read_manifest(release))
    stolen = read_tensors(sources["digits"] / "model.safetensors")["classifier.weight"]
    write_tensors(release / "towers.safetensors", {"mine": stolen.double()})
    assert copied_tensors(release, read_manifest(release)) == [
        "mine of towers.safetensors is a tensor of digits"
    ]


def test_a_tower_may_have_half_of_its_teachers_parameters(release: Path) -> None:
    manifest = read_manifest(release)
    manifest["parameters"]["towers"]["digits"] = 51
    assert oversized(manifest) == ["The tower 'digits' has 51 parameters, more than half of its teacher's."]
    assert capabilities(manifest)[0].metric.name == "accuracy"


@pytest.mark.parametrize(
    "content",
    [None, "{", "[]", '{"schema": "other"}', '{"schema": "nexus.release/2"}', '{"schema": "nexus.release/1"}',
     '{"schema": "nexus.release/1", "capabilities": 3, "parameters": {}, "teachers": {}, "files": {}}',
     '{"schema": "nexus.release/1", "capabilities": [{}], "parameters": {}, "teachers": {}, "files": {}}',
     '{"schema": "nexus.release/1", "capabilities": [], "parameters": {}, "teachers": {}, "files": []}',
     '{"schema": "nexus.release/1", "capabilities": [], "parameters": {"student": 1, "towers": {}}, "teachers": {}, '
     '"files": {}, "decoders": [{"name": "x"}]}'],
)  # fmt: skip
def test_what_is_no_release_is_refused(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(NexusError, match=r"not a release|schema|no whole manifest"):
        Verify(release=tmp_path)(Installed())
    with pytest.raises(NexusError, match=r"There is no folder '.*nowhere'\. `nexus run` writes a release to"):
        Verify(release=tmp_path / "nowhere")(Installed())


def test_scores_that_are_no_numbers_are_compared_and_given_as_null(release: Path, known: None, capsys: Any) -> None:
    manifest = read_manifest(release)
    manifest["capabilities"][0] |= {"student_score": None, "floor": None, "retention": None}
    (release / "manifest.json").write_text(json.dumps(manifest))
    (each,) = capabilities(manifest)
    found = {"digits": {"student_score": float("nan"), "forced_score": each.forced_score, "items": 4}}
    assert verifying.differences([each], found, 0.0) == []
    assert verifying.differences([each], {"digits": found["digits"] | {"student_score": float("inf")}}, 0.0) == []
    assert scored([each], found)[1][-1] == "nan"
    assert verifying.differences([each], {"digits": found["digits"] | {"student_score": 0.5}}, 0.0)
    assert Verify(release=str(release))(Installed()) == 1
    assert "the manifest says nan" in capsys.readouterr().out


def test_a_manifest_that_is_a_pipe_or_too_deep_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(NexusError, match=r"is not a release: .* \(it is no file\)"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(NexusError, match="is not a release"):
        read_manifest(tmp_path)
