"""The `precompiled_charsmap` of a SentencePiece normaliser: a trie of characters, and what each is replaced by.

Four bytes with the trie's size, its units of four bytes (a double array as of Darts-clone), the replacements with a
zero behind each. The `tokenizers` library looks up units and replacements without asking whether they are there, and
panics at the first text that leads it astray; here every unit is held against the bounds before.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np

UNIT, BLOCK = 4, 0xFF
"""Bytes of a unit, and a mask of the units that one byte of a text chooses from."""
LONGEST = 256
"""Bytes that one character may become: NFKC's longest is 33."""


def fault(encoded: str) -> str:
    """What is the matter with a charsmap in base 64; "" where nothing is."""
    try:
        found = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return "is not base 64"
    return fault_of(found)


def fault_of(found: bytes) -> str:
    """The same of the bytes themselves."""
    size = int.from_bytes(found[:UNIT], "little")
    if len(found) < UNIT or size % UNIT or not 0 < size <= len(found) - UNIT:
        return "does not hold the trie that it speaks of"
    return _fault(np.frombuffer(found, "<u4", size // UNIT, UNIT).astype(np.int64), found[UNIT + size :])


def _fault(units: np.ndarray, text: bytes) -> str:
    try:
        text.decode()
    except UnicodeDecodeError:
        return "replaces characters by what is no text"
    if max(map(len, text.split(b"\0"))) > LONGEST:
        return f"replaces a character by more than {LONGEST} bytes"
    inner = units >> 31 == 0                                # the others are values, which no byte leads to
    inner[0] = True                                         # the lookup begins there, whatever it is
    begins = np.arange(len(units)) ^ ((units >> 10) << ((units & (1 << 9)) >> 6))
    if ((begins | BLOCK)[inner] >= len(units)).any():
        return "leads out of its trie"
    values = units[begins[inner & (units >> 8 & 1 == 1)]] & 0x7FFFFFFF
    letters = np.frombuffer(text + b"\0", np.uint8)
    if (values > len(text)).any() or (letters[values] & 0xC0 == 0x80).any():
        return "leads out of its replacements"
    return ""
