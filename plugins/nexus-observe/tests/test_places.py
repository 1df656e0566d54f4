"""A release names its data without the folders of the machine that made it, and finds them again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nexus_observe.places import base, locations, placed, portable, registered, strings, wanted
from nexus_observe.release import Capability
from nexus_observe.verifying import data_here
from nexus_specs import Choice, NexusError, ReaderComponent, location

NAMES = frozenset({"path", "parts"})


@dataclass
class Options:
    """What a reader is made with."""

    path: str = location("")
    parts: dict[str, Any] = field(default_factory=dict, metadata={"location": True})
    window: str = "/not/a/place"


READER = ReaderComponent(name="lines", target="x:y", summary="Lines", options=f"{__name__}:Options")


class Lookup:
    """Offers one reader."""

    def components(self, kind: str) -> dict[str, ReaderComponent]:
        return {"lines": READER}


def choice(**options: Any) -> Choice:
    return Choice(kind="reader", name="lines", options=options)


def capability(**options: Any) -> Capability:
    return Capability(
        name="prose", tower="prose", teacher="prose", metric=Choice(kind="metric", name="bits"), floor=3.0,
        data=choice(**options), teacher_score=1.0, student_score=1.1, forced_score=1.1,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_observe.places.resolve", lambda target: Options)


def test_locations_are_what_the_options_say() -> None:
    assert locations(READER) == NAMES
    assert locations(None) == locations(ReaderComponent(name="x", target="x:y", summary="X")) == frozenset()


def test_paths_become_relative_to_the_folder_that_holds_them_all() -> None:
    one = portable(choice(path="/there/texts.jsonl", window="/not/a/place", parts={}), NAMES)
    assert one.options == {"path": "texts.jsonl", "window": "/not/a/place", "parts": {}}
    parts = {"train": ["/there/a/x.jsonl", "/there/a/y.jsonl"], "held_out": "/there/b/x.jsonl"}
    assert portable(choice(parts=parts), NAMES).options == {
        "parts": {"train": ["a/x.jsonl", "a/y.jsonl"], "held_out": "b/x.jsonl"}
    }
    package = choice(path="package:starter/data.parquet", parts={}, other=None)
    assert portable(package, NAMES) == package
    assert list(strings({"path": None, "parts": ("a", 1)}, NAMES)) == ["a"]


def test_what_is_relative_is_found_in_the_first_home_that_has_it(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "texts.jsonl").write_text("{}")
    options = {"path": "texts.jsonl", "window": "x"}
    assert wanted(options, NAMES) == ["texts.jsonl"]
    assert placed(options, NAMES, [tmp_path / "one"]) is None
    found = {"path": str(tmp_path / "other" / "texts.jsonl"), "window": "x"}
    assert placed(options, NAMES, [tmp_path / "one", tmp_path / "other"]) == found
    renamed = tmp_path / "renamed.jsonl"
    renamed.write_text("{}")
    assert placed(options, NAMES, [renamed]) == {"path": str(renamed), "window": "x"}
    assert placed({"path": "/there"}, NAMES, []) == {"path": "/there"}
    assert base({"path": "texts.jsonl"}, NAMES) is None


def test_the_registry_of_the_run_says_where(tmp_path: Path) -> None:
    release = tmp_path / "run" / "release"
    release.mkdir(parents=True)
    texts = tmp_path / "mine" / "texts.jsonl"
    texts.parent.mkdir()
    texts.write_text("{}")
    (release.parent / "registry.yaml").write_text(
        f"teachers:\n  prose: {{data: mine}}\ndata:\n  mine: {{reader: lines, options: {{path: '{texts}'}}}}\n"
    )
    assert data_here(release, [capability(path="texts.jsonl")], Lookup(), ())["prose"] == {"path": str(texts)}  # type: ignore[arg-type]


def test_data_that_are_nowhere_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"data of 'prose' \(texts.jsonl\) are not here.*--data FOLDER"):
        data_here(tmp_path, [capability(path="texts.jsonl")], Lookup(), (str(tmp_path),))  # type: ignore[arg-type]
    (tmp_path / "texts.jsonl").write_text("{}")
    found = data_here(tmp_path, [capability(path="texts.jsonl")], Lookup(), (str(tmp_path),))  # type: ignore[arg-type]
    with pytest.raises(NexusError, match="--data /nowhere/at/all: there is no such file or folder"):
        data_here(tmp_path, [capability(path="texts.jsonl")], Lookup(), (str(tmp_path), "/nowhere/at/all"))  # type: ignore[arg-type]
    assert found["prose"]["path"] == str(tmp_path / "texts.jsonl")


@pytest.mark.parametrize("content", [None, "a: [", "- a list"])
def test_a_registry_that_says_nothing(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "registry.yaml").write_text(content)
    assert registered(tmp_path / "release") == {}
