"""The files of a commit, page by page. huggingface_hub would ask for them as well, and sleep as long as a server tells
it to, a day if it says a day; here LONGEST holds for each page.

Paths: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .names import HubId
from .settings import endpoint
from .waiting import patiently

TRIES = 4
"""Questions for one page, where a server fails or a connection breaks."""
MOST = 10_000
"""Pages of a listing, of a thousand files each as a rule: more is no repository."""


def rows(hub: HubId, commit: str, patience: float) -> list[dict[str, Any]]:
    """The rows of a tree, as the hub says them. Raises what huggingface_hub raises for a refusal."""
    url = f"{endpoint()}/api/{hub.kind}s/{hub.name}/tree/{commit}?recursive=true&expand=false"
    found: list[dict[str, Any]] = []
    for _ in range(MOST):
        page, url = patiently(partial(_page, url, patience), TRIES)
        found += page
        if not url:
            break
    return found


def _page(url: str, patience: float) -> tuple[list[dict[str, Any]], str]:
    """A page, and where the next one is; "" behind the last."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    answer = get_session().get(url, headers=build_hf_headers(library_name="nexus"), timeout=patience)
    hf_raise_for_status(answer)
    found = [row for row in answer.json() if isinstance(row, dict)]
    _, api, rest = str(answer.links.get("next", {}).get("url", "")).partition("/api/")
    return found, f"{endpoint()}{api}{rest}" if api else ""  # a mirror may name the hub itself, which is not asked
