"""Ranges of bytes of a file on the hub, which go on where a connection broke."""

from __future__ import annotations

import io
import re
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from .errors import LOGIN, HubError, Unreachable, in_words, unreachable
from .listing import lose, lost, resolve
from .names import Address
from .settings import endpoint, offline
from .urls import url
from .waiting import LONGEST, rest, seconds_of, wanted

TRIES = 6
"""Connections in a row that may break without one byte before it is given up."""
CRUMBS, ENOUGH = 60, 1 << 16
"""Connections in a row that may break before so many bytes came through them together."""
PATIENT = 300.0
"""Seconds in which a hub that was there may be away while weights are fetched: hours of work wait for them."""
FIRST_WAIT, LONGEST_WAIT = 0.25, 8.0
CONNECT, SILENCE = 15.0, 60.0
"""Seconds to connect, and seconds without a byte after which a connection counts as broken."""
SHA256 = re.compile(r"[0-9a-f]{64}")
MANY = 1 << 20
"""Bytes before a range that are too many to be sent for nothing, again and again."""
_unasked: Counter[str] = Counter()
"""How often a server sent them."""
BUSY = (408, 429, 500, 502, 503, 504)


class _Busy(Exception):
    """The server asks to come again, perhaps after some seconds."""

    def __init__(self, status: int, after: float | None) -> None:
        super().__init__(f"the server answered {status}")
        self.status, self.after = status, after or 0.0


def stream(address: Address, start: int, stop: int, still: Callable[[], None] | None = None) -> Iterator[bytes]:
    """The bytes from `start` to `stop` in blocks, each fetched once: a connection that breaks is continued.

    HubError where the hub refuses, or where nothing comes in `TRIES` attempts; of a long fetch, where nothing comes for
    PATIENT seconds: `still` is called before each further attempt, and raises where nobody waits any more.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    at, failed, since, sound, crumbs = start, 0, 0.0, start, 0
    if (known := lost(_place(address))) is not None:        # all loaders ask about all sources
        raise type(known)(str(known))
    while at < stop:
        problem: Exception
        try:
            for block in _request(address, at, stop):
                yield block
                at, failed = at + len(block), 0
            problem = EOFError(f"ended at byte {at} of {stop}")
        except (HfHubHTTPError, UnicodeEncodeError) as error:
            _refused(address, error)
        except (HTTPError, _Busy, OSError) as error:
            problem = error
        if at >= stop:
            return
        failed += 1
        since = time.monotonic() if failed == 1 else since
        asked, gone = getattr(problem, "after", 0.0), time.monotonic() - since
        sound, crumbs = (at, 0) if at - sound >= ENOUGH else (sound, crumbs + (at > sound))
        vain = crumbs > CRUMBS or asked + (gone if still is None else 0.0) > LONGEST
        if vain or (failed >= TRIES and (still is None or gone >= PATIENT)):
            raise lose(_place(address), _given_up(address, problem)) from problem
        if still is not None:
            if failed == TRIES:
                print(f"Waiting for the hub, which does not answer ({address}): {problem}", file=sys.stderr)
            still()
        rest(asked or min(FIRST_WAIT * 2 ** (failed - 1), LONGEST_WAIT), still, told=not asked)


def _place(address: Address) -> str:
    return f"{endpoint()} {address}"


def _refused(address: Address, error: Exception) -> NoReturn:
    """Raises the HubError for what the hub says of a file that its own listing names."""
    if getattr(getattr(error, "response", None), "status_code", 0) == 404:
        raise HubError(
            f"The hub ({endpoint()}) lists '{address}' and has no such file (404). Try again later, name another "
            "revision, or set HF_ENDPOINT to another mirror."
        ) from error
    with in_words(address.hub):
        raise error
    raise error


def _given_up(address: Address, problem: Exception) -> HubError:
    """What to say when a file does not come."""
    if not isinstance(problem, _Busy):
        return unreachable(address.hub, problem)
    if problem.status == 429:
        return HubError(
            f"The hub was asked too often (429) for '{address}'. Wait {wanted(problem.after)}, or type `{LOGIN}`."
        )
    return Unreachable(
        f"The hub ({endpoint()}) answered {problem.status} to each of {TRIES} questions for '{address}'. Try again "
        "later, or set HF_ENDPOINT to another mirror."
    )


def _request(address: Address, at: int, stop: int) -> Iterator[bytes]:
    """One connection: what comes of the bytes from `at` on."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    if offline():
        raise HubError(f"'{address}' is not on this machine, and HF_HUB_OFFLINE forbids fetching it. Unset it.")
    headers = build_hf_headers(library_name="nexus") | {
        "Range": f"bytes={at}-{stop - 1}",
        "Accept-Encoding": "identity",                      # a range of a compressed file is another range
    }
    timeout = (CONNECT, SILENCE, SILENCE, CONNECT)
    with get_session().stream("GET", url(address), headers=headers, timeout=timeout) as response:
        if response.status_code in BUSY:
            raise _Busy(response.status_code, seconds_of(response.headers))
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        _same(response, address)
        skip = _skipped(response, at, stop, address)
        left = stop - at
        for block in response.iter_raw():                    # as it comes: a block in waiting would be lost by a drop
            cut = block[skip : skip + left]
            skip, left = max(0, skip - len(block)), left - len(cut)
            if cut:
                yield cut
            if not left:
                return


def _same(response: Any, address: Address) -> None:
    """HubError where the answer, or the redirect before it, speaks of another file than the listing of the commit."""
    known = resolve(address.hub).files.get(address.file)
    if known is None:
        return
    answers = [*getattr(response, "history", ()), response]
    said = [str(each.headers.get("x-linked-etag", "")).removeprefix("W/").strip('"') for each in answers]
    sizes = [str(each.headers.get("x-linked-size", "")) for each in answers]
    sizes.append(str(response.headers.get("content-range", "")).rpartition("/")[2])
    other = next((each for each in said if SHA256.fullmatch(each) and each != known.sha256), "")
    if known.sha256 and other:
        raise HubError(
            f"The server answers '{address}' with another file: its hash is {other[:12]}…, and the commit names "
            f"{known.sha256[:12]}…. Try again later, or set HF_ENDPOINT to another mirror."
        )
    if any(each.isdigit() and int(each) != known.size for each in sizes):
        raise HubError(
            f"The server answers '{address}' with a file of another size than the {known.size:,} bytes that the commit "
            "names. Try again later, or set HF_ENDPOINT to another mirror."
        )


def _skipped(response: Any, at: int, stop: int, address: Address) -> int:
    """Bytes to leave out of an answer: none where the server keeps to the range, all before it where it does not.
    HubError where it sends the whole file for a part in the middle of it, again: it would do so for each layer."""
    if response.status_code != 206:
        known = resolve(address.hub).files.get(address.file)
        if at >= MANY and known is not None and stop < known.size:
            _unasked[endpoint()] += 1
        if _unasked[endpoint()] > 1 and stop < getattr(known, "size", stop):
            raise HubError(
                f"The server ({endpoint()}) sends the whole of '{address}' where a part is asked for: each layer would "
                "fetch all of it again. Give it more disk (run.disk, or --disk), so that the file comes whole, or set "
                "HF_ENDPOINT to another mirror."
            )
        return at
    said = str(response.headers.get("content-range", ""))
    if not said.startswith(f"bytes {at}-"):
        raise HubError(
            f"The server sent the range '{said}' of '{address.hub}' where bytes {at}- were asked for. Try again."
        )
    return 0


class RangeFile(io.RawIOBase):
    """A file on the hub to be read and sought in like one on the disk, a block of bytes at a time.

    >>> file = io.BufferedReader(RangeFile(address))                                      # doctest: +SKIP
    """

    def __init__(self, address: Address, block: int = 1 << 18, kept: int = 16) -> None:
        super().__init__()
        self.address, self.block, self.kept = address, block, kept
        files = resolve(address.hub).files
        if address.file not in files:
            raise HubError(f"'{address}' is not on the hub. Its repository holds {len(files)} other files.")
        self.size, self.at = files[address.file].size, 0
        self.blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = max(0, base + offset)
        return self.at

    def readinto(self, buffer: Any) -> int:
        """What is left of the block at the position, at most."""
        if self.at >= self.size:
            return 0
        number, inner = divmod(self.at, self.block)
        piece = self._block(number)[inner : inner + len(buffer)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        if number not in self.blocks:
            first = number * self.block
            self.blocks[number] = b"".join(stream(self.address, first, min(first + self.block, self.size)))
            while len(self.blocks) > self.kept:
                self.blocks.popitem(last=False)
        self.blocks.move_to_end(number)
        return self.blocks[number]
