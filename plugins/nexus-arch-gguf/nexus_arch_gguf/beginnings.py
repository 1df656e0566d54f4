"""What a file is whose first bytes are not GGUF's."""

from __future__ import annotations

BEGINNING = 64
"""Bytes that say what a file is."""
OLD = (b"lmgg", b"fmgg", b"tjgg", b"algg")
"""How ggml's files began before GGUF: whisper.cpp's still do."""


def begun(first: bytes) -> str:
    """What begins so, in words.

    >>> begun(b"<!DOCTYPE html>")
    'is a web page'
    """
    if not first:
        return "is empty"
    if first.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS: fetch what it stands for, with `git lfs pull`"
    if first[:4] in OLD:
        return "is in ggml's format of before GGUF (whisper.cpp's, or llama.cpp's of before August 2023), not read here"
    if first.startswith(b"PK\x03\x04"):
        return "is a zip archive (a llamafile, or weights of torch)"
    if first[8:9] == b"{":
        return "is a file of safetensors: name its folder"
    if first.lstrip().startswith(b"<"):
        return "is a web page"
    return f"with {first[:4]!r}"
