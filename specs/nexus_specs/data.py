"""Records of the data: samples, and the readers that give them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .components import Split


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row of data, untokenized.

    `key` is the hash of its content (`content_key`), and everything later is keyed by it, never by order.
    `fields` hold "text" (str), "image" (uint8 [H, W, C]), "audio" (float32 [N], with "rate"), "video" (uint8
    [T, H, W, C]), "label" (int or str, absent where it is unknown), "source" (where the row came from).
    """

    key: str
    fields: Mapping[str, Any]
    domain: str = ""


def prompted(sample: Sample) -> Sample:
    """The sample as a model is asked it: its "prompt" as the text, where it has one.

    >>> prompted(Sample(key="k", fields={"text": "2 + 2 = 4", "prompt": "2 + 2 ="})).fields["text"]
    '2 + 2 ='
    >>> prompted(Sample(key="k", fields={"text": "2 + 2 =", "prompt": None})).fields["text"]
    '2 + 2 ='
    """
    if sample.fields.get("prompt") is None:
        return sample
    return replace(sample, fields={**sample.fields, "text": sample.fields["prompt"]})


class Reader(Protocol):
    """Kind "reader": gives the samples of a part, always in the same order."""

    def fingerprint(self, split: Split) -> str:
        """A hash of what `samples` would give, found without decoding it."""

    def samples(self, split: Split, start: int = 0) -> Iterator[Sample]:
        """The samples of a part, from position `start` on."""


def content_key(fields: Mapping[str, Any]) -> str:
    """The key of a sample: 32 hexadecimal digits of the SHA-256 over its fields; arrays, alone or in a list, count by
    dtype, shape and bytes.

    The label does not count: an item is the same item whether or not its label is known.
    """
    digest = hashlib.sha256()
    for name in sorted(fields):
        if name in ("label", "source"):
            continue
        value = fields[name]
        if hasattr(value, "tobytes"):
            head: Any = [name, str(value.dtype), list(value.shape)]
            body = value.tobytes()
        elif isinstance(value, (list, tuple)) and value and all(hasattr(each, "tobytes") for each in value):
            head = [name, "list", *([str(each.dtype), list(each.shape)] for each in value)]
            body = b"".join(each.tobytes() for each in value)
        else:
            head, body = [name, type(value).__name__], json.dumps(value, ensure_ascii=False).encode()
        digest.update(json.dumps(head).encode() + b"\0" + body + b"\0")
    return digest.hexdigest()[:32]
