"""A hub that asks to come again later, against a real server: waited for as it says, told once, and never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from nexus_specs import Installed, NexusError
from nexus_specs.testing.hub import LocalHub
from nexus_specs.testing.hub_api import Handler
from nexus_torch import hub
from nexus_torch.hub import listing, waiting

CONFIG = '{"model_type": "llama"}'


@pytest.fixture
def busy(server: LocalHub, tmp_path: Path) -> LocalHub:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text(CONFIG)
    (tmp_path / "source" / "words.bin").write_bytes(bytes(range(256)) * 8)
    server.add("acme/tiny", tmp_path / "source")
    hub.resolve(hub.HubId("acme/tiny"))  # what huggingface_hub asks once a process is asked
    listing.forget()
    server.requests.clear()
    return server


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Nobody was told before."""
    waiting._told.clear()
    yield
    waiting._told.clear()


@pytest.mark.parametrize("after", [{"Retry-After": "1"}, {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": "-"}])
def test_a_question_is_asked_again_when_the_hub_says(
    busy: LocalHub, after: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    busy.busy, busy.after = 2, after
    began = time.monotonic()
    assert "config.json" in hub.resolve(hub.HubId("acme/tiny")).files
    assert time.monotonic() - began >= 2
    said = capsys.readouterr().err
    assert f"The hub ({busy.url}) asks to come again in 1 s: waiting. Ctrl-C ends it." in said
    assert said.count("\n") <= 2


def test_a_file_is_asked_for_again_when_the_hub_says(busy: LocalHub, capsys: pytest.CaptureFixture[str]) -> None:
    address = hub.Address.of(hub.resolve(hub.HubId("acme/tiny")).hub, "words.bin")
    busy.busy, asked = 1, []
    began = time.monotonic()
    assert b"".join(hub.stream(address, 2, 5, lambda: asked.append(1))) == b"\x02\x03\x04"
    assert time.monotonic() - began >= 1
    assert asked
    assert "asks to come again in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["301", "86400"])
def test_what_is_too_far_away_is_not_waited_for(busy: LocalHub, seconds: str) -> None:
    address = hub.Address.of(hub.resolve(hub.HubId("acme/tiny")).hub, "words.bin")
    busy.busy, busy.after = 1_000, {"Retry-After": seconds}
    listing.forget()
    words = rf"too often.*Wait {seconds} s, as it asks, or type `hf auth login`"
    for ask in (lambda: list(hub.stream(address, 0, 9)), lambda: hub.resolve(hub.HubId("acme/tiny"))):
        with pytest.raises(NexusError, match=words):
            ask()


def test_the_pages_of_a_listing_wait_no_longer_either(busy: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub would sleep for the day that this server names."""
    first = [False, True]
    monkeypatch.setattr(busy, "is_busy", lambda: first.pop(0) if first else True)
    busy.after = {"Retry-After": "86400"}
    began = time.monotonic()
    with pytest.raises(NexusError, match="Wait 86400 s, as it asks"):
        hub.resolve(hub.HubId("acme/tiny"))
    assert time.monotonic() - began < 20
    assert ["tree" in line for line in busy.requests] == [False, True]


def test_a_listing_of_several_pages_is_whole(busy: LocalHub) -> None:
    """Also where a mirror names the hub itself for the next one: it is the mirror that is asked."""
    busy.page = 1
    assert sorted(hub.resolve(hub.HubId("acme/tiny")).files) == ["config.json", "words.bin"]
    assert sum("tree" in line for line in busy.requests) == 2


def test_a_listing_that_fails_once_is_asked_for_again(busy: LocalHub) -> None:
    """As huggingface_hub does."""
    first = [False, True]
    busy.after = {}
    busy.is_busy = lambda: bool(first) and first.pop(0)  # type: ignore[method-assign]
    assert "config.json" in hub.resolve(hub.HubId("acme/tiny")).files


@pytest.mark.parametrize("broken", [False, True])
def test_a_hub_that_fails_once_is_asked_again(
    busy: LocalHub, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    """The first question as well, for the commit: a moment of trouble is no reason to end."""
    right, first = Handler._api, [True]

    def fails_once(self: Handler, *given: str) -> None:
        if not first:
            right(self, *given)
            return
        first.clear()
        if broken:
            self.close_connection = True
        else:
            self._head(500, {}, 0)

    monkeypatch.setattr(Handler, "_api", fails_once)
    assert "config.json" in hub.resolve(hub.HubId("acme/tiny")).files
    assert not first


def test_waits_end(busy: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that always names another second is given up after LONGEST seconds."""
    monkeypatch.setattr(waiting, "LONGEST", 2.0)
    busy.busy = 1_000
    with pytest.raises(NexusError, match="too often"):
        hub.resolve(hub.HubId("acme/tiny"))
    assert len(busy.requests) == 3


def test_loaders_say_it_once(busy: LocalHub) -> None:
    busy.busy, busy.after = 1_000, {"Retry-After": "999"}
    with pytest.raises(NexusError) as caught:
        Installed().inspect("acme/tiny")
    assert str(caught.value).count("too often") == 1
    assert "Failed" not in str(caught.value)
    assert len(busy.requests) == 1


def test_threads_say_it_once_and_nobody_waits_who_has_gone(capsys: pytest.CaptureFixture[str]) -> None:
    def gone() -> None:
        raise InterruptedError

    threads = [threading.Thread(target=waiting.rest, args=(1.0,)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert capsys.readouterr().err.count("asks to come again") == 1
    with pytest.raises(InterruptedError):
        waiting.rest(200.0, gone)


def test_a_date_is_a_time_as_well() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (waiting.seconds_of({"retry-after": later}) or 0.0) <= 100
    assert waiting.seconds_of({"retry-after": format_datetime(datetime(2020, 1, 1, tzinfo=UTC))}) == 0.0
    assert waiting.seconds_of({"retry-after": "soon"}) is None
    assert waiting.seconds_of({"ratelimit": '"resolvers";r=12;t=240'}) == 240.0
