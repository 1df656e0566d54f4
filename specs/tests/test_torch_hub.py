"""The hub, against a real server on this machine: names, listings, small files, headers, ranges, drops, refusals."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_specs.testing.hub import LocalHub
from nexus_torch import hub
from nexus_torch.files import read_header, read_tensors, write_tensors
from nexus_torch.hub import errors, fetching, listing

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "source"
    home.mkdir()
    (home / "config.json").write_text('{"model_type": "llama"}')
    (home / "tokenizer.json").write_text("{}")
    (home / "README.md").write_text("# Tiny")
    (home / "modeling.py").write_text("raise SystemExit")
    (home / "unet").mkdir()
    (home / "unet" / "config.json").write_text("{}")
    generator = torch.Generator().manual_seed(0)
    for number, name in enumerate(SHARDS):
        write_tensors(home / name, {f"w{number}": torch.randn(64, 300, generator=generator)})
    index = {"weight_map": {f"w{number}": name for number, name in enumerate(SHARDS)}}
    (home / "model.safetensors.index.json").write_text(json.dumps(index))
    return home


@pytest.mark.parametrize(
    ("source", "name", "revision", "path"),
    [
        ("acme/tiny", "acme/tiny", "", ""),
        ("hub:acme/tiny", "acme/tiny", "", ""),
        ("acme/tiny@v1.0", "acme/tiny", "v1.0", ""),
        ("acme/tiny@refs/pr/3", "acme/tiny", "refs/pr/3", ""),
        ("hub:acme/tiny@main/unet", "acme/tiny", "main", "unet"),
        ("acme/tiny-GGUF/tiny-Q4.gguf", "acme/tiny-GGUF", "", "tiny-Q4.gguf"),
    ],
)
def test_names(source: str, name: str, revision: str, path: str) -> None:
    found = hub.parse(source)
    assert found == hub.HubId(name, revision, path)
    assert hub.parse(f"hub:{found}") == found


@pytest.mark.parametrize(
    "source",
    ["", "tiny", "./acme/tiny", "/acme/tiny", "~/tiny", "a/b/c", "package:acme/tiny", "a/../b", "a b/c", "jar:a"],
)
def test_what_is_no_name_on_the_hub(source: str) -> None:
    assert hub.parse(source) is None


def test_data_sets_have_names_of_their_own() -> None:
    found = hub.parse("hub:datasets/acme/words@main/data/a.parquet")
    assert found == hub.HubId("acme/words", "main", "data/a.parquet", "dataset")


def test_snapshot_has_small_files_and_no_weights(server: LocalHub, folder: Path) -> None:
    commit = server.add("acme/tiny", folder)
    home = hub.snapshot("acme/tiny")
    assert home.name == commit
    here = sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    assert here == ["config.json", "model.safetensors.index.json", "tokenizer.json", "unet/config.json"]
    assert (home / "config.json").read_text() == (folder / "config.json").read_text()
    assert not any(name.endswith(".safetensors") for name in server.served)
    assert hub.weights(home) == list(SHARDS)


def test_one_content_under_many_names_is_fetched_once(server: LocalHub, folder: Path) -> None:
    """A pipeline's parts share files: those that fetch them side by side wait for one another."""
    for number in range(24):
        (folder / f"part{number}").mkdir()
        (folder / f"part{number}" / "special_tokens_map.json").write_text(json.dumps({"pad_token": "x" * 30_000}))
    commit = server.add("acme/parts", folder)
    home = hub.snapshot("acme/parts")
    here = {path.read_bytes() for path in home.glob("part*/special_tokens_map.json")}
    assert here == {(folder / "part0" / "special_tokens_map.json").read_bytes()}
    asked = [line for line in server.requests if "special_tokens_map" in line and commit in line]
    assert len(asked) == 1


def test_a_header_is_read_once_and_nothing_more(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    place = hub.place(hub.snapshot("acme/tiny"), SHARDS[0])
    address = hub.Address.parse(place)
    assert address is not None
    expected = read_header(folder / SHARDS[0])
    assert hub.header(address) == hub.header(address) == expected
    assert server.served[f"acme/tiny/{SHARDS[0]}"] == expected[1]


def test_a_commit_is_pinned(server: LocalHub, folder: Path) -> None:
    first = server.add("acme/tiny", folder)
    (folder / "config.json").write_text('{"model_type": "other"}')
    second = server.add("acme/tiny", folder)
    assert first != second
    found = hub.origin("acme/tiny")
    assert found is not None
    weights = sum((folder / name).stat().st_size for name in SHARDS)
    assert (found.source, found.bytes, found.missing) == (f"acme/tiny@{second}", weights, weights)
    assert "llama" in (hub.snapshot(f"acme/tiny@{first}") / "config.json").read_text()
    assert hub.origin(str(folder)) is None


def test_a_fetched_file_is_whole_and_counted_once(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    hub.header(hub.Address.of(listed.hub, SHARDS[0]))
    server.drops, server.drop_after = 4, 9_000
    path = hub.fetch(listed, SHARDS[0])
    torch.testing.assert_close(read_tensors(path), read_tensors(folder / SHARDS[0]))
    assert server.drops == 0
    assert server.served[f"acme/tiny/{SHARDS[0]}"] == (folder / SHARDS[0]).stat().st_size
    asked = len(server.requests)
    assert hub.fetch(listed, SHARDS[0]) == path
    assert len(server.requests) == asked
    found = hub.origin("acme/tiny")
    assert found is not None
    assert found.missing == (folder / SHARDS[1]).stat().st_size


def test_a_fetch_goes_on_where_a_kill_left_it(server: LocalHub, folder: Path, tmp_path: Path) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    part = tmp_path / "target.part"
    part.write_bytes((folder / SHARDS[0]).read_bytes()[:50_000])
    address = hub.Address.of(listed.hub, SHARDS[0])
    fetching.download(address, listed.files[SHARDS[0]], tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == (folder / SHARDS[0]).read_bytes()
    assert server.served[f"acme/tiny/{SHARDS[0]}"] == (folder / SHARDS[0]).stat().st_size - 50_000
    assert not part.exists()


def test_a_range_that_went_meanwhile_comes_with_the_file(server: LocalHub, folder: Path, tmp_path: Path) -> None:
    """What was read for the last time is dropped while another thread fetches the file that it is part of."""
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    known = [hub.Known(1000, 3000, tmp_path / "gone"), hub.Known(5000, 9000, tmp_path / "here")]
    (tmp_path / "here").write_bytes((folder / SHARDS[0]).read_bytes()[5000:9000])
    address = hub.Address.of(listed.hub, SHARDS[0])
    hub.download(address, listed.files[SHARDS[0]], tmp_path / "whole", known=known)
    assert (tmp_path / "whole").read_bytes() == (folder / SHARDS[0]).read_bytes()
    assert server.served[f"acme/tiny/{SHARDS[0]}"] == (folder / SHARDS[0]).stat().st_size - 4000


def test_a_damaged_file_is_fetched_again_once_then_refused(server: LocalHub, folder: Path, tmp_path: Path) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    server.damaged[f"acme/tiny/{SHARDS[0]}"] = 1
    assert hub.fetch(listed, SHARDS[0]).read_bytes() == (folder / SHARDS[0]).read_bytes()
    server.damaged[f"acme/tiny/{SHARDS[1]}"] = 2
    with pytest.raises(NexusError, match=rf"{SHARDS[1]}' came damaged twice"):
        hub.fetch(listed, SHARDS[1])
    server.damaged["acme/tiny/config.json"] = 2
    with pytest.raises(NexusError, match=r"config.json' came damaged twice"):
        hub.fetch(listed, "config.json")


def test_a_server_without_ranges_will_do(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    server.ranges = False
    listed = hub.resolve(hub.HubId("acme/tiny"))
    server.drops, server.drop_after = 1, 9_000
    assert hub.fetch(listed, SHARDS[0]).read_bytes() == (folder / SHARDS[0]).read_bytes()


def test_a_file_is_read_in_ranges(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    address = hub.Address.of(hub.resolve(hub.HubId("acme/tiny")).hub, SHARDS[0])
    content = (folder / SHARDS[0]).read_bytes()
    file = io.BufferedReader(hub.RangeFile(address, block=10_000), 64)
    assert file.read(8) == content[:8]
    file.seek(-5, io.SEEK_END)
    assert file.read() == content[-5:]
    file.seek(9_990)
    assert file.read(20) == content[9_990:10_010]
    assert server.served[f"acme/tiny/{SHARDS[0]}"] < len(content) // 2


def test_a_hub_that_breaks_every_connection_is_given_up(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    address = hub.Address.of(hub.resolve(hub.HubId("acme/tiny")).hub, SHARDS[0])
    server.drops, server.drop_after = 1000, 0
    with pytest.raises(NexusError, match="cannot be reached"):
        list(hub.stream(address, 0, 1000))


def test_a_hub_that_gives_crumbs_is_given_up(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    monkeypatch.setattr("nexus_torch.hub.ranges.FIRST_WAIT", 0.001)
    monkeypatch.setattr("nexus_torch.hub.ranges.CRUMBS", 10)
    server.drops, server.drop_after = 1000, 64
    with pytest.raises(NexusError, match="cannot be reached"):
        hub.fetch(listed, SHARDS[0], lambda size: None)
    server.drops = 9
    assert hub.fetch(listed, SHARDS[1]).read_bytes() == (folder / SHARDS[1]).read_bytes()


def test_a_file_that_is_listed_and_not_there_is_named(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    plain: Any = server.server.RequestHandlerClass

    class Bare(plain):  # type: ignore[misc]
        def do_GET(self) -> None:
            self._refuse(404, "", "Not found")

    server.server.RequestHandlerClass = Bare
    with pytest.raises(NexusError, match=rf"lists 'hub:acme/tiny@\w+/{SHARDS[0]}' and has no such file"):
        hub.fetch(listed, SHARDS[0])


def test_a_hub_that_is_away_for_a_while_is_waited_for(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours of fetching do not end with ten seconds of no answer; nor does anybody wait who has gone."""
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    monkeypatch.setattr("nexus_torch.hub.ranges.PATIENT", 600.0)
    monkeypatch.setattr("nexus_torch.hub.ranges.LONGEST_WAIT", 0.01)
    server.drops, server.drop_after = 20, 0
    came: list[int] = []
    path = hub.fetch(listed, SHARDS[0], came.append)
    assert path.read_bytes() == (folder / SHARDS[0]).read_bytes()
    assert came.count(0) == 20, "asked before each further attempt"
    assert "Waiting for the hub, which does not answer (hub:acme/tiny@" in capsys.readouterr().err

    def gone(size: int) -> None:
        raise InterruptedError

    server.drops = 1000
    with pytest.raises(InterruptedError):
        hub.fetch(listed, SHARDS[1], gone)


def test_a_disk_too_small_is_said_before_the_first_byte(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("acme/tiny", folder)
    listed = hub.resolve(hub.HubId("acme/tiny"))
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=fetching.RESERVE + 10_000))
    with pytest.raises(NexusError, match=r"needs 76\.9 KB on the disk of .*, where 10 KB may be used\. Free some"):
        hub.fetch(listed, SHARDS[0])
    assert not server.served[f"acme/tiny/{SHARDS[0]}"]


def test_a_missing_repository_names_the_nearest(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    with pytest.raises(errors.Unknown, match=r"'acme/tiny2' is neither a folder here nor a model.*mean 'acme/tiny'"):
        hub.snapshot("acme/tiny2")
    asked = len(server.requests)
    with pytest.raises(errors.Unknown):
        hub.snapshot("acme/tiny2")
    assert len(server.requests) == asked


def test_an_unknown_revision_names_the_nearest(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder, branch="float16")
    with pytest.raises(NexusError, match=r"no revision 'float61'\. Did you mean 'float16'"):
        hub.snapshot("acme/tiny@float61")


def test_a_branch_with_a_slash_is_named_and_found(server: LocalHub, folder: Path) -> None:
    commit = server.add("acme/tiny", folder, branch="feature/x")
    for source in ("acme/tiny@feature%2Fx", "hub:acme/tiny@feature%2Fx/config.json"):
        name = hub.parse(source)
        assert name is not None
        assert name.revision == "feature/x"
        assert hub.parse(f"hub:{name}") == name
        assert hub.resolve(name).commit == commit
    with pytest.raises(NexusError, match=r"Did you mean 'feature%2Fx'"):
        hub.resolve(hub.parse("hub:acme/tiny@feature/x"))
    with pytest.raises(NexusError, match="all of its 40 digits"):
        hub.resolve(hub.parse(f"acme/tiny@{commit[:7]}"))


def test_a_gated_repository_says_how_to_be_let_in(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("acme/gated", folder, gated=True)
    with pytest.raises(NexusError, match=rf"'acme/gated' is gated.*{server.url}/acme/gated.*`hf auth login`"):
        hub.snapshot("acme/gated")
    listing.forget()
    monkeypatch.setenv("HF_TOKEN", server.token)
    assert (hub.snapshot("acme/gated") / "config.json").is_file()


@pytest.mark.parametrize(
    ("token", "said"),
    [("hf_outsider", r"'acme/gated' is gated.*Accept the terms at {url}/acme/gated.*`hf auth login`"),
     ("hf_narrow", r"'acme/gated' \(403: Please enable .*at {url}/acme/gated; a fine-grained token.*`hf auth login`")],
)  # fmt: skip
@pytest.mark.parametrize("listed", [False, True])
def test_an_account_that_is_not_let_in_says_what_to_do(
    token: str, said: str, listed: bool, server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with 403, when the files are listed or, as on the real hub, when the first of them is fetched."""
    monkeypatch.setenv("HF_TOKEN", token)
    server.add("acme/gated", folder, gated=not listed)
    if listed:
        listing.resolve(hub.parse("acme/gated"))
        server.repositories["model", "acme/gated"].gated = True
    with pytest.raises(NexusError, match=said.format(url=server.url)):
        hub.snapshot("acme/gated")


def test_a_token_that_is_none_is_named(server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "häßlich")
    server.add("acme/tiny", folder)
    with pytest.raises(NexusError, match="HF_TOKEN holds 'ä', which stands in no token"):
        hub.snapshot("acme/tiny")


def test_a_private_repository_may_be_private(server: LocalHub, folder: Path) -> None:
    server.add("acme/private", folder, private=True)
    with pytest.raises(NexusError, match=r"If it is private, type `hf auth login` first"):
        hub.snapshot("acme/private")


def test_offline_what_is_in_the_cache_opens(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add("acme/tiny", folder)
    hub.snapshot("acme/tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    listing.forget()
    asked = len(server.requests)
    assert hub.snapshot("acme/tiny").name == hub.snapshot(f"acme/tiny@{commit}").name == commit
    with pytest.raises(NexusError, match="HF_HUB_OFFLINE forbids"):
        hub.snapshot("acme/other")
    with pytest.raises(NexusError, match="HF_HUB_OFFLINE forbids"):
        hub.fetch(hub.resolve(hub.HubId("acme/tiny")), SHARDS[0])
    assert len(server.requests) == asked


def test_what_another_tool_fetched_opens_offline(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    server.add("acme/tiny", folder)
    home = snapshot_download("acme/tiny", cache_dir=tmp_path / "hub-cache", endpoint=server.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert str(hub.snapshot("acme/tiny")) == home
    found = hub.origin("acme/tiny")
    assert found is not None
    assert found.missing == 0


def test_other_tools_find_what_was_fetched_here(server: LocalHub, folder: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    server.add("acme/tiny", folder)
    path = hub.fetch(hub.resolve(hub.HubId("acme/tiny")), SHARDS[0])
    found = hf_hub_download("acme/tiny", SHARDS[0], cache_dir=tmp_path / "hub-cache", local_files_only=True)
    assert Path(found) == path


def test_a_hub_that_is_gone_leaves_what_was_fetched(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = server.add("acme/tiny", folder)
    hub.snapshot("acme/tiny")
    listing.forget()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub.snapshot("acme/tiny").name == commit
    assert "cannot be reached: 'acme/tiny' is taken as it was fetched" in capsys.readouterr().err
    with pytest.raises(NexusError, match=r"the hub \(http://127\.0\.0\.1:9\) cannot be reached: ConnectError"):
        hub.snapshot("acme/other")


def test_files_that_are_no_safetensors_are_refused(server: LocalHub, folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(b"\xff" * 100)
    (folder / "short.safetensors").write_bytes(b"1234")
    (folder / "text.safetensors").write_bytes((20).to_bytes(8, "little") + b"x" * 30)
    server.add("acme/tiny", folder)
    here = hub.resolve(hub.HubId("acme/tiny")).hub
    for name, message in (("bad", "does not begin"), ("short", "does not begin"), ("text", "damaged safetensors")):
        with pytest.raises(NexusError, match=message):
            hub.header(hub.Address.of(here, f"{name}.safetensors"))


def test_python_files_are_fetched_only_where_they_are_trusted(server: LocalHub, folder: Path) -> None:
    server.add("acme/tiny", folder)
    home = hub.snapshot("acme/tiny")
    assert not (home / "modeling.py").exists()
    hub.trusted_code(home)
    assert (home / "modeling.py").read_text() == "raise SystemExit"
    (home / "modeling.py").resolve().write_text("raise SystemError")
    with pytest.raises(NexusError, match=r"modeling.py' is not the file of its commit"):
        hub.trusted_code(home)
    with pytest.raises(NexusError, match="is no snapshot of a commit"):
        hub.trusted_code(folder)


@pytest.mark.parametrize("name", ["../../outside.json", "/etc/outside.json", "a\\..\\b.json"])
def test_names_that_lead_outside_are_refused(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.add("acme/tiny", folder)
    (repository,) = server.repositories.values()
    (files,) = repository.commits.values()
    repository.commits[repository.branches["main"]] = {name: files["config.json"]}
    with pytest.raises(NexusError, match="names files outside its folder"):
        hub.snapshot("acme/tiny")


def test_an_index_that_leads_outside_is_refused(server: LocalHub, folder: Path) -> None:
    index = {"weight_map": {"w0": "../../../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    server.add("acme/tiny", folder)
    with pytest.raises(NexusError, match=r"outside\.safetensors', which is no file of its folder"):
        hub.weights(hub.snapshot("acme/tiny"))


@pytest.mark.parametrize(("status", "said"), [(500, "answered 500 to each of 6 questions"), (429, "too often .429.")])
def test_a_file_that_was_given_up_is_not_asked_for_again(
    server: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    """Every loader asks about every source: one that fails would keep a user waiting for each of them."""
    server.add("acme/tiny", folder)
    address = hub.Address.of(hub.resolve(hub.parse("acme/tiny")).hub, SHARDS[0])  # type: ignore[arg-type]
    asked: list[int] = []

    def busy(_: object, at: int, stop: int) -> Iterator[bytes]:
        asked.append(at)
        raise hub.ranges._Busy(status, None)
        yield b""

    monkeypatch.setattr("nexus_torch.hub.ranges._request", busy)
    for _ in range(3):
        with pytest.raises(NexusError, match=said):
            list(hub.stream(address, 0, 100))
    assert len(asked) == 6


class Portal(BaseHTTPRequestHandler):
    """What a network answers to everything until one has logged in."""

    def do_GET(self) -> None:
        page = b"<html><body>Please accept our terms.</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(
    ("variable", "place"), [("HF_HUB_CACHE", "blocked/hub"), ("NEXUS_CACHE", "blocked/notes")]
)
def test_a_cache_that_cannot_be_written_is_named(
    server: LocalHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, place: str
) -> None:
    server.add("acme/tiny", folder)
    (tmp_path / "blocked").write_text("a file where a folder should be")
    monkeypatch.setenv(variable, str(tmp_path / place))
    with pytest.raises(hub.HubError, match=f"cannot be kept: Not a directory .*blocked.* Set {variable} to a folder"):
        hub.snapshot("acme/tiny")


@pytest.mark.parametrize("answer", ["[]", "{}", "null", '"acme/tiny"', '{"id": "acme/tiny", "siblings": 5}'])
def test_an_answer_that_is_none_of_a_hub_is_told_in_one_line(
    server: LocalHub, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("nexus_specs.testing.hub_api.Handler._api", lambda self, *_: self._json(json.loads(answer)))
    with pytest.raises(hub.HubError, match="answers with something else than the hub's data"):
        hub.resolve(hub.HubId("acme/tiny"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "is neither a folder here nor a model on the hub"),
     (451, r"\(451 Unavailable For Legal Reasons\)\. Look at"),
     (500, r"failed on 'acme/tiny' \(500 Internal Server Error\)\. Try again later")],
)  # fmt: skip
def test_a_refusal_without_a_word_of_the_hub_is_one_line(
    server: LocalHub, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    monkeypatch.setattr("nexus_specs.testing.hub_api.Handler._api", lambda self, *_: self._head(status, {}, 0))
    with pytest.raises(hub.HubError, match=said) as caught:
        hub.resolve(hub.HubId("acme/tiny"))
    assert "\n" not in str(caught.value)


def test_a_page_instead_of_the_hub_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        threading.Thread(target=portal.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{portal.server_port}")
        monkeypatch.setenv("NEXUS_CACHE", str(tmp_path))
        with pytest.raises(hub.HubError, match=r"answers with something else than the hub.* login page") as caught:
            hub.resolve(hub.HubId("acme/unheard", "", ""))
        portal.shutdown()
    said = str(caught.value)
    assert "HF_ENDPOINT" in said
    assert "HTTPS_PROXY" in said
    assert "\n" not in said
