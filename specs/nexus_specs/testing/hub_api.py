"""The hub of the tests: its paths, answers and refusals. Paths: https://huggingface.co/docs/hub/api"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .hub_files import Repository, Stored
from .hub_state import HubState

API = re.compile(
    r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"
    r"(?:/(?P<what>revision|tree|paths-info|refs)(?:/(?P<rest>.*))?)?"
)
SEARCH = re.compile(r"/api/(?P<kind>model|dataset)s")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<rest>.+)")
CONTENT = re.compile(r"/content/(?P<key>[0-9a-f]{64})/(?P<name>.+)")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
BLOCK = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: HubState
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        """Headers of a file."""
        self.do_GET()

    def do_POST(self) -> None:
        """`/paths-info`."""
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.do_GET()

    def do_GET(self) -> None:
        """Everything."""
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.is_busy():
            self._head(429, self.hub.after, 0)
        elif found := CONTENT.fullmatch(path):
            self._content(found["key"], found["name"])
        elif found := FILE.fullmatch(path):
            self._file("dataset" if found["kind"] else "model", found["name"], found["rest"])
        elif found := SEARCH.fullmatch(path):
            self._search(found["kind"], parse_qs(parts.query).get("search", [""])[0])
        elif found := API.fullmatch(path):
            self._api(found["kind"], found["name"], found["what"] or "", found["rest"] or "")
        else:
            self._refuse(404, "", "Not found")

    def _api(self, kind: str, name: str, what: str, rest: str) -> None:
        repository = self._repository(kind, name, content=what not in ("", "revision", "refs"))
        if repository is None:
            return
        if what == "refs":
            rows = [{"name": key, "ref": f"refs/heads/{key}", "targetCommit": commit}
                    for key, commit in repository.branches.items()]  # fmt: skip
            self._json({"branches": rows, "tags": [], "converts": []})
            return
        revision, inner = _split(repository, rest)
        commit = repository.commit(revision)
        if not commit:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what in ("", "revision"):
            self._json(repository.info(commit))
        else:
            self._rows(repository.commits[commit], what, inner)

    def _rows(self, files: Mapping[str, Stored], what: str, inner: str) -> None:
        if what == "paths-info":
            paths = _paths(self.body, self.headers.get("Content-Type", ""))
            self._json([files[each].row(each) for each in paths if each in files] + _folders(files, paths))
            return
        recursive = "recursive=true" in self.path.lower()
        start = f"{inner}/" if inner else ""
        rows, folders = [], set()
        for name, file in files.items():
            if not name.startswith(start):
                continue
            first, slash, _ = name.removeprefix(start).partition("/")
            if slash:
                folders.add(start + first)
            if recursive or not slash:
                rows.append(file.row(name))
        found = [*map(_folder, sorted(folders)), *rows]
        at = self._cursor()
        stop = at + self.hub.page
        path = f"https://huggingface.co{urlsplit(self.path).path}?recursive={recursive}&cursor={stop}"
        self._json(found[at:stop], {"Link": f'<{path}>; rel="next"'} if stop < len(found) else {})

    def _cursor(self) -> int:
        """Where the page that is asked for begins."""
        return int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])

    def _search(self, kind: str, word: str) -> None:
        known = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        every = self.hub.repositories.values()
        names = [each.name for each in every if each.kind == kind and (known or not each.private)]
        shown = [name for name in names if set(word.lower()) & set(name.lower())]
        self._json([{"_id": "0" * 24, "id": name, "private": False, "tags": []} for name in shown])

    def _file(self, kind: str, name: str, rest: str) -> None:
        repository = self._repository(kind, name, content=True)
        if repository is None:
            return
        revision, inner = _split(repository, rest)
        commit = repository.commit(revision)
        if not commit:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        file = repository.commits[commit].get(inner)
        if file is None:
            self._refuse(404, "EntryNotFound", f"Entry not found: {inner}")
            return
        about = {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"'}
        if file.sha256:
            about |= {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.etag}"'}
            self._head(302, about | {"Location": f"{self._elsewhere()}/content/{file.sha256}/{name}/{inner}"}, 0)
        else:
            self._serve(file, f"{name}/{inner}", about)

    def _elsewhere(self) -> str:
        """Where large files are: another host, as on the hub, which is sent no token."""
        return f"http://localhost:{self.connection.getsockname()[1]}"

    def _content(self, key: str, name: str) -> None:
        """Where large files are served from, as a content network does: without asking who it is."""
        for repository in self.hub.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.sha256 == key:
                        self._serve(file, name, {"ETag": f'"{key}"'})
                        return
        self._refuse(404, "", "Not found")

    def _serve(self, file: Stored, name: str, about: dict[str, str]) -> None:
        asked = RANGE.fullmatch(self.headers.get("Range", "")) if self.hub.ranges else None
        start = int(asked[1]) if asked else 0
        stop = min(int(asked[2]) + 1, file.size) if asked and asked[2] else file.size
        if asked:
            about["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        self._head(206 if asked else 200, about | {"Accept-Ranges": "bytes"}, stop - start)
        if self.command != "HEAD":
            self._body(file, name, start, stop)

    def _body(self, file: Stored, name: str, start: int, stop: int) -> None:
        hub = self.hub
        if stop - start > hub.drop_after and hub.breaks():
            stop, self.close_connection = start + hub.drop_after, True
        wrong = start <= file.size - 1 < stop and hub.damages(name)
        with file.open() as opened:
            opened.seek(start)
            while start < stop:
                block = opened.read(min(BLOCK, stop - start))
                start += len(block)
                if wrong and start == file.size:
                    block = block[:-1] + bytes([block[-1] ^ 1])
                hub.count(name, len(block))
                try:
                    self.wfile.write(block)
                except OSError:
                    self.close_connection = True
                    return
                if hub.rate:
                    time.sleep(len(block) / hub.rate)

    def _repository(self, kind: str, name: str, *, content: bool) -> Repository | None:
        """The repository, if whoever asks may see it; else the refusal is sent."""
        repository = self.hub.repositories.get((kind, name))
        known = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if repository is None or (repository.private and not known):
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        elif repository.gated and content and self._is_outsider("hf_narrow"):
            self._refuse(403, "", "Please enable access to public gated repositories in your token settings.")
        elif repository.gated and content and not known:
            status = 403 if self._is_outsider("hf_outsider") else 401
            self._refuse(status, "GatedRepo", f"Access to {kind} {name} is restricted.")
        else:
            return repository
        return None

    def _is_outsider(self, token: str) -> bool:
        """Whether an account asks that the hub knows and that is not let in: `hf_outsider` never agreed to the terms,
        the token `hf_narrow` may not read what is gated."""
        return self.headers.get("Authorization") == f"Bearer {token}"

    def _json(self, value: Any, about: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self._head(200, {"Content-Type": "application/json"} | dict(about or {}), len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str) -> None:
        data = json.dumps({"error": message}).encode()
        about = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        self._head(status, about, len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _split(repository: Repository, rest: str) -> tuple[str, str]:
    """Revision and path of "REVISION/path"; a revision may hold slashes."""
    known = sorted((*repository.branches, *repository.commits), key=len, reverse=True)
    for revision in known:
        if rest == revision or rest.startswith(f"{revision}/"):
            return revision, rest[len(revision) + 1 :]
    first, _, inner = rest.partition("/")
    return first or "main", inner


def _paths(body: bytes, kind: str) -> list[str]:
    """The paths that a request to `/paths-info` names."""
    if "json" in kind:
        return [str(each) for each in json.loads(body)["paths"]]
    return parse_qs(body.decode()).get("paths", [])


def _folders(files: Mapping[str, Stored], paths: list[str]) -> list[dict[str, Any]]:
    return [_folder(each) for each in paths if any(name.startswith(f"{each}/") for name in files)]


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
