"""One stage for all: hashes whatever it is given, so that its artefact changes exactly when its inputs do."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

from nexus_specs import Estimate, NexusError, Paused, plain


class Work:
    def estimate(self, context):
        if context.options["fail"] == "estimate":
            raise NexusError("no estimate")
        disk = 10**18 if context.options["fail"] == "disk" else 1000
        return Estimate(seconds=1.0, read=10, memory=1000, disk=disk, passes=2, how="toy")

    def run(self, context):
        options = context.options
        state = context.budget.scratch / "state.json"
        digest, first = json.loads(state.read_text()) if state.exists() else ("", 0)
        for step in range(first, options["steps"]):
            digest = hashlib.sha256(f"{digest} {step}".encode()).hexdigest()
            time.sleep(options["tick"])
            figures = {"loss": 1.0 / (step + 1), "bad": float("nan")}
            going = context.report(step + 1, options["steps"], **figures)
            while going and options["fail"] == "wait" and step == 0 and not told_to_go(context):
                time.sleep(0.02)
                going = context.report(step + 1, options["steps"], **figures)
            if not going:
                state.write_text(json.dumps([digest, step + 1]))
                raise Paused
            fail(options["fail"], step, context)
        with context.write("result.json") as path:
            path.write_text(json.dumps(seen(context, digest), sort_keys=True))
        with context.write("folder") as path:
            path.mkdir()
            (path / "inner.txt").write_text(digest)
            (path / "inner.txt").chmod(0o600)
        if options["filler"]:
            with context.write("filler.bin") as path:
                path.write_bytes(b"x" * options["filler"])
        with context.write("table.json") as path:
            rows = [[context.unit.name, 0.5, None, True]]
            path.write_text(
                json.dumps(
                    {"title": "Toy", "columns": ["unit", "score", "gap", "passed"], "rows": rows, "notes": ["a note"]}
                )
            )


def folder_of(context):
    """The run directory."""
    return context.budget.scratch.parents[3]


def told_to_go(context):
    """Whether the run directory has the file `go`, for which a unit waits."""
    return (folder_of(context) / "go").exists()


def fail(how, step, context):
    if how == "error" and step == 0:
        raise NexusError("The toy was told to fail")
    if how == "crash" and step == 0:
        raise ZeroDivisionError("a toy bug")
    if how == "kill" and step == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "peek":
        context.samples("held_out")
    if how == "hang":
        (folder_of(context) / "hanging").touch()
        time.sleep(600)


def seen(context, digest):
    reads = {"profile": "train", "extract": "train", "score": "held_out"}.get(context.unit.stage)
    return {
        "digest": digest,
        "records": list(context.records),
        "teachers": {name: {k: v for k, v in card.items() if k != "source"} for name, card in context.teachers.items()},
        "keys": [sample.key for sample in context.samples(reads)] if reads else [],
        "seed": context.seed,
        "precision": context.budget.precision,
        "inputs": {
            f"{stage}/{subject}": hashlib.sha256(Path(folder, "result.json").read_bytes()).hexdigest()
            for stage in NEEDS.get(context.unit.stage, ())
            for subject, folder in context.inputs(stage).items()
        },
        "student": [plain(choice) for choice in context.choices("student")] if context.unit.stage == "core" else [],
    }


NEEDS = {
    "extract": ("profile",),
    "core": ("profile", "extract"),
    "train": ("core", "extract"),
    "control": ("core",),
    "assemble": ("core", "train"),
    "release": ("assemble", "score", "control"),
}


class Score(Work):
    """Is made with its options, as other components are."""

    def __init__(self, **options):
        self.options = options

    def run(self, context):
        assert self.options == context.options
        super().run(context)
