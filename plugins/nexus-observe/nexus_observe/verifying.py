"""Commands `verify RELEASE` and `evaluate RELEASE`."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexus_specs import Lookup, NexusError, fraction
from nexus_specs.caching import expanded
from nexus_torch.decoders import counted

from .decoders import checked
from .options import EvaluateReleaseOptions, VerifyOptions
from .places import base, locations, placed, registered
from .places import wanted as paths
from .release import Capability, capabilities, copied_tensors, damaged, decoders, read_manifest

HALF = 0.5
"""The largest share of its teachers' parameters that a student, and of its teacher's that a tower, may have."""


class Verify:
    """Everything that a release claims, found again from a copy of it."""

    def __init__(self, **options: Any) -> None:
        self.options = VerifyOptions(**options)

    def __call__(self, lookup: Lookup) -> int:
        """0 if every claim holds, else 1."""
        release = Path(self.options.release)
        manifest = read_manifest(release)
        wrong, beside = checked(manifest, [expanded(place).absolute() for place in self.options.data])
        problems = [
            *(f"File {line}." for line in damaged(release, manifest)),
            *(f"Copied: {line}." for line in copied_tensors(release, manifest)),
            *oversized(manifest),
            *wrong,
        ]
        wanted = capabilities(manifest)
        found = score_copy(release, self.options.threads, data_here(release, wanted, lookup, self.options.data))
        problems += differences(wanted, found["scores"], self.options.tolerance)
        show(compared(wanted, found["scores"], self.options.tolerance))
        print("\n" + "\n".join(filter(None, [unreachable(manifest, found), beside])))
        print(f"{len(manifest['files'])} files hashed; {unlike(manifest)}." if not problems else "")
        for problem in problems:
            print(problem)
        print("Verified." if not problems else f"Not verified: {len(problems)} of its claims do not hold.")
        return int(bool(problems))


class Evaluate:
    """The scores of a release as they are now, beside those on record."""

    def __init__(self, **options: Any) -> None:
        self.options = EvaluateReleaseOptions(**options)

    def __call__(self, lookup: Lookup) -> int:
        """0; NexusError if the release cannot be scored."""
        release = Path(self.options.release)
        wanted = capabilities(read_manifest(release))
        data = data_here(release, wanted, lookup, self.options.data)
        scores = score_copy(release, self.options.threads, data)["scores"]
        if self.options.json:
            print(json.dumps({each.name: _finite(scores[each.name]) for each in wanted}))
        else:
            show(scored(wanted, scores))
        return 0


def _finite(found: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no number for what is none."""
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def data_here(
    release: Path, wanted: Sequence[Capability], lookup: Lookup, given: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """Capability -> the options of its reader as they hold on this machine. NexusError for data that are not found."""
    if away := [place for place in given if not expanded(place).exists()]:
        raise NexusError(f"--data {away[0]}: there is no such file or folder.")
    registry, readers = registered(release), lookup.components("reader")
    found: dict[str, Mapping[str, Any]] = {}
    for each in wanted:
        names = locations(readers.get(each.data.name))
        entry = registry.get("data", {}).get(registry.get("teachers", {}).get(each.teacher, {}).get("data", ""), {})
        home = base(entry.get("options") or {}, names)
        homes = [*(expanded(place).absolute() for place in given), *filter(None, [home])]
        options = placed(each.data.options, names, homes)
        if options is None:
            missing = ", ".join(sorted(set(paths(each.data.options, names))))
            raise NexusError(
                f"The held-out data of '{each.name}' ({missing}) are not here: a release names them without their "
                "folder. Say where they lie: --data FOLDER (or the file)."
            )
        found[each.name] = options
    return found


def score_copy(release: Path, threads: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a process that sees a copy alone finds: {"denied", "kernel", "scores"}. NexusError with its last words if it
    fails."""
    manifest = read_manifest(release)
    with TemporaryDirectory(prefix="nexus-verify-") as place:
        copy, places, result = (Path(place) / name for name in ("release", "places.json", "result.json"))
        shutil.copytree(release, copy)
        places.write_text(json.dumps({"teachers": teachers(release, manifest), "data": data}), encoding="utf-8")
        room = Path(place) / "tmp"
        room.mkdir()  # there before folders are put out of reach, so that what is written into it can be read
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(max(1, threads)),
                   "TMPDIR": str(room)}  # fmt: skip
        ended = subprocess.run(
            [sys.executable, "-m", "nexus_observe.again", str(copy), str(places), str(result)],
            env=os.environ | offline, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
        if ended.returncode:
            last = "\n".join(ended.stderr.strip().splitlines()[-6:])
            raise NexusError(f"A copy of '{release}' cannot be scored where its teachers are out of reach:\n{last}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def unreachable(manifest: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What of the teachers could not be touched while the copy was scored, and by whose doing."""
    there, every = len(found["denied"]), len(manifest["teachers"])
    others = " (the others are not on this machine)" if there < every else ""
    return f"From a copy, offline, {there} of {every} teachers put out of reach{others}.\n{kept(found['kernel'])}"


def kept(kernel: Mapping[str, bool]) -> str:
    """Which of the two lines was in force."""
    if kernel["files"] and kernel["network"]:
        return "The kernel kept files and network (Landlock), for code in C and child processes too."
    if kernel["files"]:
        return "The kernel kept the files (Landlock), Python's audit hooks the network; no other program could start."
    return "Python's audit hooks kept them, since this kernel has no Landlock: code in C was not held to it."


def unlike(manifest: Mapping[str, Any]) -> str:
    """Whose tensors were looked for, and whose are not all on record: those that were packed, or went through the disk
    of the machine that read them, before anybody could see their values."""
    teachers = manifest["teachers"]
    unknown = sorted(name for name, facts in teachers.items() if not facts.get("tensors"))
    if unknown and len(unknown) == len(teachers):
        return "no tensor of a teacher is on record, so none was compared"
    parts = [
        f"{facts['unknown']} tensors of {name}"
        for name, facts in sorted(teachers.items())
        if name not in unknown and facts.get("unknown")
    ]
    left = [*(f"those of {name}" for name in unknown), *parts]
    return "no tensor is a teacher's" + (f", as far as they are on record: not {', '.join(left)}" if left else "")


def teachers(release: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Where its teachers are, as the registry of the run says that the release lies in; a release itself names no
    folder of the machine that made it."""
    cards = registered(release).get("teachers", {})
    return [str(cards[name]["source"]) for name in manifest["teachers"] if cards.get(name, {}).get("source")]


def differences(wanted: Sequence[Capability], scores: Mapping[str, Any], tolerance: float) -> list[str]:
    """Scores that are not what the manifest says."""
    return [
        f"{each.name}: {kind.replace('_', ' ')} is {scores[each.name][kind]:.6f}, the manifest says {recorded:.6f}."
        for each in wanted
        for kind, recorded in (("student_score", each.student_score), ("forced_score", each.forced_score))
        if not _same(scores[each.name][kind], recorded, tolerance)
    ]


def _same(found: float, recorded: float, tolerance: float) -> bool:
    if math.isnan(recorded):                                # null on record: it was not finite
        return not math.isfinite(found)
    return abs(found - recorded) <= tolerance


def oversized(manifest: Mapping[str, Any]) -> list[str]:
    """Where the student with the decoders of others that it needs, or a tower, is larger than the contract allows."""
    sizes, problems = manifest["parameters"], []
    known = {name: facts["parameters"] for name, facts in manifest["teachers"].items()}
    teachers = {each["tower"]: known[each["teacher"]] for each in manifest["capabilities"]}
    beside = counted(decoders(manifest))
    if sizes["student"] + beside > HALF * sum(known.values()):
        whole = f"{sizes['student']:,} parameters" + (f" and needs decoders of {beside:,}" if beside else "")
        problems.append(f"The student has {whole}, more than half of all its teachers'.")
    for tower, own in sorted(sizes["towers"].items()):
        if tower in teachers and own > HALF * teachers[tower]:
            problems.append(f"The tower '{tower}' has {own:,} parameters, more than half of its teacher's.")
    return problems


def compared(wanted: Sequence[Capability], scores: Mapping[str, Any], tolerance: float) -> list[list[str]]:
    """Rows: capability, recorded and found scores, whether they are equal."""
    rows = [["capability", "items", "recorded", "found", "forced, recorded", "forced, found", "equal"]]
    for each in wanted:
        found = scores[each.name]
        equal = not differences([each], scores, tolerance)
        numbers = (each.student_score, found["student_score"], each.forced_score, found["forced_score"])
        row = [each.name, str(found["items"]), *(f"{n:.6f}" for n in numbers), "yes" if equal else "NO"]
        rows.append(row)
    return rows


def scored(wanted: Sequence[Capability], scores: Mapping[str, Any]) -> list[list[str]]:
    """Rows: capability, teacher, student, floor, retention."""
    rows = [["capability", "items", "teacher", "student", "tower forced", "floor", "retention"]]
    for each in wanted:
        found = scores[each.name]
        kept = fraction(found["student_score"], each.teacher_score, each.floor) if each.teacher_knows else math.nan
        numbers = (each.teacher_score, found["student_score"], found["forced_score"], each.floor)
        rows.append([each.name, str(found["items"]), *(f"{n:.4f}" for n in numbers), f"{kept:.3f}"])
    return rows


def show(rows: Sequence[Sequence[str]]) -> None:
    """Prints aligned columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
