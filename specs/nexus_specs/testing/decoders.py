"""Checks of the decoders of others that a tower declares: a release can name, count and find each of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..components import locate
from ..students import Decoder, Tower, decoders_of
from ..work import NexusError
from .descriptors import NAME

PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}|hub:[\w.-]+/[\w.-]+@[0-9a-f]{40}(/.+)?")
DIGEST = re.compile(r"[0-9a-f]{64}")


def check_decoders(tower: Tower, again: Tower) -> None:
    """Models of others that it declares, if any: named, licensed, pinned, and the same from a release."""
    try:
        declared = decoders_of(tower)
    except NexusError as error:
        raise AssertionError(str(error)) from error
    names = [decoder.name for decoder in declared]
    assert len(set(names)) == len(names), f"`decoders` gave {', '.join(names)}. Name each once."
    for decoder in declared:
        _check_decoder(decoder)
    assert decoders_of(again) == declared, (
        "A tower made with `config()` declares other decoders. Keep in `config` what they depend on."
    )


def _check_decoder(decoder: Decoder) -> None:
    assert NAME.fullmatch(decoder.name), f"A decoder is named '{decoder.name}'. Use small letters, digits and '-'."
    assert decoder.licence.strip(), (
        f"The decoder '{decoder.name}' has no licence. Name that of its weights: a release says it of each."
    )
    pinned = PINNED.fullmatch(decoder.source) is not None
    assert pinned or _there(decoder.source), (
        f"The decoder '{decoder.name}' from '{decoder.source}' is neither here nor pinned. Name a path or a package: "
        f"resource that is there, or what is on a hub by its commit: owner/name@COMMIT."
    )
    assert decoder.parameters > 0 or not pinned, (
        f"The decoder '{decoder.name}' is on a hub. Declare how many `parameters` it has: a release counts them."
    )
    for name, digest in decoder.sha256.items():
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        assert inside and DIGEST.fullmatch(digest), (
            f"`sha256` of the decoder '{decoder.name}' has '{name}: {digest}'. Give the path of a file in its source "
            f"and 64 hexadecimal digits."
        )


def _there(source: str) -> bool:
    try:
        return locate(source).exists()
    except FileNotFoundError:
        return False
