"""Servers that speak the hub's API, and tell less in their listings than the hub does, or other hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from nexus_specs.testing.hub import ELSEWHERE, LocalHub
from nexus_specs.testing.hub_files import Stored
from nexus_torch import hub

FILES = {"config.json": b"{}", "folder/words.txt": b"of some length", "model.safetensors": b"w" * 5000}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    with LocalHub() as running:
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        for name, content in FILES.items():
            (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "here" / name).write_bytes(content)
        running.add("acme/tiny", tmp_path / "here")
        hub.listing.forget()
        yield running


def tells(server: LocalHub, row: Callable[[dict[str, Any], bytes], Mapping[str, Any]] | None) -> None:
    """From now on it has no listing of folders, or one of such rows."""
    plain: Any = server.server.RequestHandlerClass

    class Mirror(plain):  # type: ignore[misc]
        def _rows(self, files: Mapping[str, Stored], what: str, inner: str) -> None:
            if row is None:
                self._refuse(404, "", "Not found")
            else:
                self._json([row(file.row(name), FILES[name]) for name, file in files.items()])

    server.server.RequestHandlerClass = Mirror


def bare(row: dict[str, Any], content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": row["path"], "size": row["size"]}


def plain_hash(row: dict[str, Any], content: bytes) -> dict[str, Any]:
    return bare(row, content) | {"oid": hashlib.sha1(content).hexdigest()}


def filled_in(row: dict[str, Any], content: bytes) -> dict[str, Any]:
    return bare(row, content) | {"oid": "0" * 40}


def named_by_path(row: dict[str, Any], content: bytes) -> dict[str, Any]:
    return {"path": row["path"], "oid": f"blob of {row['path']}"}


@pytest.mark.parametrize("row", [None, bare, plain_hash, filled_in, named_by_path])
def test_its_files_are_found_and_fetched(server: LocalHub, row: Any) -> None:
    tells(server, row)
    listing = hub.resolve(hub.parse("acme/tiny"))  # type: ignore[arg-type]
    assert {name: file.size for name, file in listing.files.items()} == {n: len(each) for n, each in FILES.items()}
    for name, content in FILES.items():
        assert hub.fetch(listing, name).read_bytes() == content
    assert server.served["acme/tiny/model.safetensors"] == 5000, "once, since its hash is known"
    asked = [each for each in server.requests if each.startswith("HEAD")]
    assert len(asked) == (0 if row is plain_hash else len(FILES)), "nothing is asked that the listing tells"


def test_what_it_says_elsewhere_is_held(server: LocalHub) -> None:
    tells(server, None)
    listing = hub.resolve(hub.parse("acme/tiny"))  # type: ignore[arg-type]
    assert listing.files["model.safetensors"].sha256 == hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    server.damaged["acme/tiny/model.safetensors"] = 2
    with pytest.raises(hub.HubError, match="came damaged twice"):
        hub.fetch(listing, "model.safetensors")


def test_without_any_hash_sizes_are_held_and_no_program_is_trusted(
    server: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tells(server, None)
    monkeypatch.setattr(Stored, "etag", "made up")
    (tmp_path / "here" / "code.py").write_bytes(b"x = 1")
    server.add("acme/program", tmp_path / "here")
    listing = hub.resolve(hub.parse("acme/program"))  # type: ignore[arg-type]
    assert all(file.unnamed for file in listing.files.values() if not file.sha256)
    assert len({file.key for file in listing.files.values()}) == len(listing.files)
    assert hub.fetch(listing, "config.json").read_bytes() == b"{}"
    hub.listing.forget()
    assert hub.resolve(listing.hub).files == listing.files, "as it is kept on disk"
    with pytest.raises(hub.HubError, match=r"Nobody names a hash of 'code\.py'"):
        hub.trusted_code(hub.snapshot("acme/program"))


def test_one_without_sizes_is_refused_in_words(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    tells(server, named_by_path)
    monkeypatch.setattr("nexus_torch.hub.telling._asked", lambda address, patience: (-1, ""))
    with pytest.raises(hub.HubError, match="does not tell the size of"):
        hub.resolve(hub.parse("acme/tiny"))  # type: ignore[arg-type]
