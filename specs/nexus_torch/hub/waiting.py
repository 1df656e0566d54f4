"""A hub that counts questions asks to come again later: it is waited for as long as it says.

Headers: https://www.rfc-editor.org/rfc/rfc9110#name-retry-after, https://huggingface.co/docs/hub/rate-limits
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from .settings import endpoint

LONGEST = 300.0
"""Seconds that are waited at most for one question: the hub counts in windows of five minutes."""
AT_ONCE = 1.0
"""Seconds between two looks at whether anybody still waits."""
LATER = (429, 503)
"""Answers that mean: come again, where they say when."""
FAILS = (0, 408, 429, 500, 502, 503, 504)
"""Failures of a server, or (0) of the way to it, that may be over soon."""
BROKEN = ("ReadError", "WriteError", "RemoteProtocolError")
"""What the libraries below huggingface_hub (httpx, httpx2) call a connection that broke."""
_RESET = re.compile(r";\s*t\s*=\s*(\d+)")
_Found = TypeVar("_Found")
_told: dict[str, float] = {}
"""By hub: until when its users know that it is waited for."""


def seconds_of(headers: Mapping[str, str]) -> float | None:
    """What the headers of an answer ask to wait: Retry-After as seconds or a date, else when the window of the hub's
    RateLimit ends; None where they say nothing.

    >>> seconds_of({"retry-after": "2"}), seconds_of({"ratelimit": '"api";r=0;t=55'}), seconds_of({})
    (2.0, 55.0, None)
    """
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", said):
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        found = _RESET.search(headers.get("ratelimit", ""))
        return float(found[1]) if found else None
    now = datetime.now(UTC) if when.tzinfo else datetime.now(UTC).replace(tzinfo=None)
    return max(0.0, (when - now).total_seconds())


def wanted(seconds: float | None) -> str:
    """How long to wait, for people.

    >>> wanted(55.0), wanted(None)
    ('55 s, as it asks', 'a few minutes')
    """
    return f"{seconds:.0f} s, as it asks" if seconds else "a few minutes"


def patiently(ask: Callable[[], _Found], tries: int = 1, *, away: bool = True) -> _Found:
    """What a question to the hub comes to, asked again as often as the hub names a time for it, LONGEST in all, and
    where it fails or a connection breaks, so many `tries`; unless `away`, once where nobody answers at all. Raises what
    the question raises: the refusal as well, where the hub names no time or one too far away."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    left, failed = LONGEST, 0
    while True:
        try:
            return ask()
        except (HfHubHTTPError, HTTPError) as error:
            answer = getattr(error, "response", None)
            status = getattr(answer, "status_code", 0)
            wait = seconds_of(answer.headers) if answer is not None and status in LATER else None
            failed += wait is None
            over = status not in FAILS or not (away or status or _broke(error))
            if (wait or 0.0) > left or (wait is None and (failed >= tries or over)):
                raise
        left -= max(wait or 0.0, AT_ONCE)
        rest(2.0 ** (failed - 2) if wait is None else wait, told=wait is None)


def _broke(error: Exception) -> bool:
    """Whether somebody answered, and the connection broke: one that cannot be made, or is silent, is no better soon."""
    return any(each.__name__ in BROKEN for each in type(error).__mro__)


def rest(seconds: float, still: Callable[[], None] | None = None, *, told: bool = False) -> None:
    """Waits, and says so (unless it is `told`) once however many threads wait for the same; Ctrl-C ends it, and so does
    what `still` raises when it finds that nobody waits any more."""
    now, here = time.monotonic(), endpoint()
    until = now + seconds
    if not told and seconds >= AT_ONCE and _told.get(here, now) <= now:
        _told[here] = until
        print(f"The hub ({here}) asks to come again in {seconds:.0f} s: waiting. Ctrl-C ends it.", file=sys.stderr)
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, AT_ONCE))
        if still is not None and time.monotonic() < until:
            still()
