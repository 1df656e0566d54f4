"""`python observed.py FOLDER BUDGET`: loads and observes one checkpoint while another process watches; prints its
bytes, and those of memory that the engine predicts for it. BUDGET: fields of a `Budget` as JSON, and besides `tokens`
of a text, pixels of a `picture`'s side (0: none), samples in a `batch`, what the `source` says behind its folder, whose
samples they are (a `kind` of the zoo), or `usual`: a batch of what `nexus inspect` takes for granted."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import zoo
from nexus_engine_sli.memory.allocating import give_back
from nexus_specs import Budget, Installed, Sample, Tap, as_shown, content_key
from nexus_specs.testing import ListSink

from streaming.samples import given as given_of
from streaming.stored import TOKENS
from streaming.watching import work

SAMPLES, BATCH, PICTURE = 4, 2, 336


def main(home: str, settings: dict[str, Any]) -> dict[str, int]:
    """Bytes of one checkpoint, and those predicted."""
    lookup = Installed()
    engine, checkpoint = lookup.make("engine", "sli"), lookup.open(home + settings.pop("source", ""))
    length, side = int(settings.pop("tokens", TOKENS)), int(settings.pop("picture", PICTURE))
    plenty: dict[str, Any] = {"memory": 1 << 40, "scratch": Path(home) / "scratch"}
    together = int(settings.pop("batch", BATCH))
    usual = checkpoint.usual()[0] if settings.pop("usual", None) else None      # type: ignore[attr-defined]
    kind = zoo.kinds()[settings.pop("kind")] if "kind" in settings else None
    precision = kind.dtype if kind else "bfloat16"
    budget = Budget(**plenty | {"micro_batch": together, "precision": precision} | settings)
    takes, gives = checkpoint.blueprint.takes, checkpoint.blueprint.gives
    if usual:
        samples = [replace(usual, key=f"{usual.key}{number}") for number in range(together)]
    else:
        given = [kind.fields(each) if kind else given_of(takes, gives, each, length, side) for each in range(SAMPLES)]
        samples = [Sample(key=content_key(fields), fields=fields) for fields in given]
    path = (kind.tap if kind else "") or _path(gives, samples)
    give_back(0)                                            # what opening left free is no part of where it begins
    with work(), engine.load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path=path)], ListSink())
    shown = as_shown(checkpoint.blueprint, checkpoint, samples)         # behind it: making tensors takes memory too
    counts = (checkpoint.lengths(samples) if kind or usual else None) or [length]   # type: ignore[attr-defined]
    predicted = engine.estimate(shown, len(samples), 0, budget, tokens=sum(counts) / len(counts)).memory
    return {"bytes": checkpoint.blueprint.bytes, "predicted": predicted}


def _path(gives: Sequence[str], samples: Sequence[Sample]) -> str:
    """What is looked at: of words the score of those that come, or of all where none are said; else the output."""
    if "text" not in gives:
        return "output"
    return "logprob" if any({"text", "target"} & set(sample.fields) for sample in samples) else "logits"


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
