"""A hub of one's own for tests: a real HTTP server on this machine that speaks the Hugging Face hub's API.

    with LocalHub() as hub:
        hub.add("acme/tiny", folder)
        for name, value in hub.environment(tmp_path).items():
            monkeypatch.setenv(name, value)

It counts every byte of every file that it served, and can break connections, damage files and ask for a token.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from .hub_api import Handler
from .hub_state import HubState

ELSEWHERE = ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HOME", "NEXUS_TRUST")
"""Variables that would lead to another hub or its caches: unset them, so that a test asks this one alone."""


class Server(ThreadingHTTPServer):
    """Many may come at once: where more wait than it queues, the system lets them try again after a second."""

    daemon_threads = True
    request_queue_size = 128


@dataclass
class LocalHub(HubState):
    """The hub, and the server that speaks for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables with which this hub is asked, its files and what is noted of them being kept below `folder`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_CACHE": str(folder / "hub-cache"),
            "HF_TOKEN_PATH": str(folder / "hub-no-token"),
            "NEXUS_CACHE": str(folder / "hub-notes"),
        }

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
