"""Conversations as a model was taught them: by the template of its tokenizer.

A sample's field "messages" is a list of {"role", "content"}, or a text, which is one turn of a user. The template is a
program of the checkpoint's: transformers runs it in Jinja's sandbox, and here it has an end, too.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from nexus_specs import NexusError, Sample

from ..configuration.reading import said

MESSAGES = "messages"
SECONDS, MEMORY = 5.0, 1 << 30
"""What rendering one conversation may take: of time, and of bytes that the process grows by."""
STEP, SLOW = 500, 0.02
"""Lines of a template between two looks at the clock, and seconds of one line after which memory is looked at."""
ABSURD = re.compile(r"\*\*\s*[\d(]|\d{8,}")
"""In a template: a power, or a number of more digits than a date has, which make gigabytes in one step."""
STATM, PAGE = Path("/proc/self/statm"), 4096


def converses(sample: Sample) -> bool:
    """Whether a sample is a conversation: it says "messages", and no text of its own."""
    return sample.fields.get(MESSAGES) is not None and sample.fields.get("text") is None


def rendered(sample: Sample, words: Any, name: str, media: Mapping[str, int] | None = None) -> str:
    """As `written_out`, without its start token, which whoever makes tokens of it puts before it. `media` are how many
    pictures and sounds the sample has: their places are in the user's first turn, before its words, where the turns
    are texts and the template knows parts."""
    text, start = "", words.bos_token
    if media and (parted := _parted(_turns(sample), media)):
        with suppress(NexusError):                          # of a template that knows texts alone
            told = Sample(key=sample.key, fields={**sample.fields, MESSAGES: parted}, domain=sample.domain)
            text = written_out(told, words, name)
    text = text or written_out(sample, words, name)
    return text.removeprefix(start) if isinstance(start, str) and start else text


def written_out(sample: Sample, words: Any, name: str) -> str:
    """The conversation of a sample as a text with all its special tokens. An answer is asked for where the last turn is
    not the assistant's. NexusError where there is no template, and for what the template refuses."""
    turns = _turns(sample)
    template = getattr(words, "chat_template", None)
    if not template:
        raise NexusError(
            f"The tokenizer of '{name}' has no chat template, so it does not say how a conversation is written. Give "
            "the samples `text` or `prompt` instead of `messages`, or put chat_template.jinja beside its weights."
        )
    if ABSURD.search(str(template)):
        raise NexusError(
            f"The chat template of '{name}' reckons with numbers that no conversation has, so it is not run. Give the "
            "samples `text` instead of `messages`."
        )
    ask = str(turns[-1].get("role")) != "assistant"
    try:
        with _bounded(name):
            return str(words.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
    except NexusError:
        raise
    except Exception as error:                              # a template is a program, and can fail in any way
        raise NexusError(
            f"The chat template of '{name}' refuses the messages of sample '{sample.key}': {said(error)}."
        ) from error


def _parted(turns: list[dict[str, Any]], media: Mapping[str, int]) -> list[dict[str, Any]]:
    """The turns, of which the user's first has parts; [] where some have parts already."""
    at = next((at for at, turn in enumerate(turns) if turn.get("role") == "user"), None)
    if at is None or not all(isinstance(turn["content"], str) for turn in turns):
        return []
    shown = [{"type": kind} for kind, count in media.items() for _ in range(count)]
    turn = {**turns[at], "content": [*shown, {"type": "text", "text": turns[at]["content"]}]}
    return [*turns[:at], turn, *turns[at + 1 :]]


def _turns(sample: Sample) -> list[dict[str, Any]]:
    """The turns of a sample. NexusError for what is no conversation."""
    found = sample.fields[MESSAGES]
    if isinstance(found, str):
        if not found.lstrip().startswith("["):
            return [{"role": "user", "content": found}]
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):                # a question may begin with a bracket
            return [{"role": "user", "content": sample.fields[MESSAGES]}]
    turns = list(found) if isinstance(found, (list, tuple)) else []
    if not turns or not all(isinstance(each, dict) and {"role", "content"} <= each.keys() for each in turns):
        raise NexusError(
            f"The messages of sample '{sample.key}' are no conversation: a list of {{role: ..., content: ...}}, or the "
            "text of one turn."
        )
    return turns


@contextmanager
def _bounded(name: str) -> Iterator[None]:
    """NexusError where what runs meanwhile in this thread takes too much of the processor's time, or of memory."""
    begun, grown, before = time.thread_time(), _size(), sys.gettrace()
    last, lines = begun, 0

    def line(_frame: FrameType, _event: str, _given: Any) -> Any:
        nonlocal last, lines
        lines += 1
        now = time.thread_time()
        look, last = lines % STEP == 0 or now - last > SLOW, now
        if look and (now - begun > SECONDS or _size() - grown > MEMORY):
            raise NexusError(
                f"The chat template of '{name}' takes more than {SECONDS:g} s or {MEMORY >> 20} MB for one "
                "conversation. Give the samples `text` instead of `messages`."
            )
        return line

    sys.settrace(line)
    try:
        yield
    finally:
        sys.settrace(before)


def _size() -> int:
    """Bytes of the process, where the system says them."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0
