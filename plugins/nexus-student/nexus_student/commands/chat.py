"""`nexus chat RELEASE`: one answer, or a conversation. Answers go to stdout, who gave them to stderr.

What answers is imported once the release and the media have been found: transformers takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nexus_specs import Lookup, NexusError, Sample

from ..media import read_media
from ..options import ChatOptions
from ..places import Place, place
from ..router.ladder import Decision

if TYPE_CHECKING:
    from ..answering import Answer

PROMPT = "> "
FLAGS = {"text": "--prompt TEXT", "image": "--image FILE", "audio": "--audio FILE", "video": "--video FILE"}


class Chat:
    """Kind "command", name "chat"."""

    def __init__(self, **options: Any) -> None:
        self.options = ChatOptions(**options)

    def __call__(self, lookup: Lookup) -> int:
        """0."""
        options = self.options
        found = opened(str(options.release), options.tower)
        fields = read_media(options.image, options.audio, options.video)
        prompt = (options.prompt or "").strip() and readable(options.prompt or "")
        if not prompt and not fields and options.prompt is not None:
            raise NexusError("The prompt is empty: there is nothing to go on from. Leave --prompt out to converse.")
        partner = Partner(found, lookup, options.length)
        if prompt or fields:
            asked = fields | ({"text": prompt} if prompt else {})
            partner.refuse_lacking(options.tower, asked)
            print(partner.said(asked))
            return 0
        partner.refuse_lacking(options.tower, {"text": ""})
        return converse(partner)


class Partner:
    """A release that answers, and remembers what was said."""

    def __init__(self, found: Place, lookup: Lookup, length: int) -> None:
        from ..answering import answer
        from ..inputs import Inputs
        from ..model import NexusModel

        self.answer = answer
        self.inputs = Inputs(found, lookup)
        assert found.home is not None
        self.model = NexusModel.from_pretrained(found.home, lookup=lookup)
        self.length, self.memory = length, ""

    def refuse_lacking(self, tower: str, fields: Mapping[str, Any]) -> None:
        """NexusError where a tower that was forced takes what it is not given."""
        takes = self.inputs.specs[tower].takes if tower else ()
        if lacking := [FLAGS[name] for name in takes if name not in fields and name in FLAGS]:
            raise NexusError(f"The tower '{tower}' takes {', '.join(takes)}: add {' and '.join(lacking)}.")

    def said(self, fields: Mapping[str, Any]) -> str:
        """The answer; who gave it goes to stderr."""
        given = self.answer(self.model, self.inputs, _sample(fields, self.length))
        print(who(given), file=sys.stderr)
        return given.value if given.probability is None else f"{given.value} ({100 * given.probability:.1f} %)"

    def replied(self, line: str) -> str:
        """The answer to the next line of a conversation: the line decides who answers, what went before is read too."""
        decision = self.inputs.decide(_sample({"text": line}, self.length))
        before = f"{self.memory}\n{line}" if self.memory else line
        read = self._end(before, decision)
        given = self.answer(self.model, self.inputs, _sample({"text": read}, self.length), decision)
        self.memory = read + given.value
        print(who(given), file=sys.stderr)
        return given.value

    def _end(self, text: str, decision: Decision) -> str:
        """The end of a text that leaves room for an answer."""
        reader = self.inputs.reader(decision.towers)
        room = self.inputs.limit - self.length - 1
        if reader is None or room < 1:
            return text
        ids = reader.tokenizer(text, add_special_tokens=False)["input_ids"]
        return text if len(ids) <= room else str(reader.tokenizer.decode(ids[-room:]))


def converse(partner: Partner) -> int:
    """Reads lines until the end of the input."""
    if sys.stdin is None:
        raise NexusError("There is no input to read lines from (stdin is closed). Ask with: --prompt TEXT")
    if sys.stdin.isatty():
        print("Write a line and press Enter; Ctrl-D ends.", file=sys.stderr)
    while True:
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            return 0
        if line.strip():
            print(partner.replied(readable(line.rstrip("\n"))), flush=True)


def readable(text: str) -> str:
    """A text whose bytes were no UTF-8 holds lone surrogates, which no tokenizer takes: "?" in their place.

    >>> readable("caf\\udce9")
    'caf?'
    """
    return text.encode("utf-8", "replace").decode()


def opened(release: str, tower: str) -> Place:
    """The student of a release, with a forced tower if one is named."""
    found = place(f"{release}#{tower}" if tower else release)
    if found is None or found.home is None:
        raise NexusError(f"'{release}' is no release: it holds no model/ with a core. `nexus run` makes one.")
    return found


def who(given: Answer) -> str:
    """Which tower answered, and on what ground.

    >>> from nexus_student.answering import Answer
    >>> who(Answer("7", Decision({"digits": 1.0}, "modality"), 0.9))
    '[digits: modality]'
    >>> who(Answer("7", Decision({"digits": 1.0}, "modality", others=("faces",)), 0.9))
    '[digits: modality; faces takes the same: --tower faces]'
    """
    towers = given.decision.towers
    if not towers:
        return "[core: no tower fits]"
    names = " + ".join(name if share == 1 else f"{name} {share:.0%}" for name, share in towers.items())
    return f"[{names}: {given.decision.ground}{''.join(map(_other, given.decision.others))}]"


def _other(name: str) -> str:
    return f"; {name} takes the same: --tower {name}"


def _sample(fields: Mapping[str, Any], length: int) -> Sample:
    return Sample(key="chat", fields={**fields, "max_new_tokens": length})
