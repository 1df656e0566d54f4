"""Decoders of others that a release's towers need: whether those on this machine are the ones of the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_torch.decoders import altered, counted, disguised

from .release import decoders


def checked(manifest: Mapping[str, Any], homes: Sequence[Path]) -> tuple[list[str], str]:
    """What does not hold, in words; and which of them were compared, "" where the release needs none."""
    every = decoders(manifest)
    problems = [f"{line[0].upper()}{line[1:]}." for line in disguised(every, manifest["teachers"])]
    said, listed = manifest["parameters"].get("decoders", 0), counted(every)
    if said != listed:
        problems.append(f"The decoders have {listed:,} parameters, the manifest says {said:,}.")
    told = []
    for each in every:
        found = altered(each, homes)
        problems += [f"Decoder {each['name']} from {each['source']}: {line}." for line in found or ()]
        told.append(f"{each['name']} of {each['tower']} ({_said(found, each)})")
    return problems, f"Decoders of others: {', '.join(told)}." if told else ""


def _said(found: list[str] | None, decoder: Mapping[str, Any]) -> str:
    if found is None:
        return f"not on this machine: {decoder['source']}"
    if not decoder["sha256"]:
        return "its commit alone says what it is"
    return "not what the manifest says" if found else "its files are those of the manifest"
