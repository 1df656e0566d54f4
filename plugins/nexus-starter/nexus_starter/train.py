"""`python -m nexus_starter.train`: make the teachers again, seeded; `--score` only measures those that are shipped."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from .places import CAPABILITIES, TEACHERS


def main() -> int:
    """Train if asked, then measure; 1 if a teacher misses its score."""
    parser = argparse.ArgumentParser(prog="python -m nexus_starter.train", description=__doc__)
    parser.add_argument("--only", choices=CAPABILITIES, action="append", help="this teacher alone; may be repeated")
    parser.add_argument("--score", action="store_true", help="train nothing, measure the checkpoints")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # sums in another order would make other weights
    names = chosen.only or list(CAPABILITIES)
    if not chosen.score:
        for name in names:
            make(name)
    return report(names, into_cards=not chosen.score)


def make(name: str) -> None:
    """Train one teacher and save it, in bfloat16, where the plugin ships it."""
    import torch

    from .teaching import perception, text

    began = time.perf_counter()
    if name in perception.RECIPES:
        model, processor = perception.train(perception.RECIPES[name], progress(name))
    else:
        model, processor = text.train(text.RECIPES[name], progress(name))
    model.to(torch.bfloat16).save_pretrained(TEACHERS / name)
    processor.save_pretrained(TEACHERS / name)
    print(f"{name}: {model.num_parameters():,} parameters in {time.perf_counter() - began:.0f} s", file=sys.stderr)


def progress(name: str, every: int = 100) -> Callable[[int, float], None]:
    """A reporter that prints the loss now and then."""

    def show(step: int, loss: float) -> None:
        if step % every == 0:
            print(f"{name}: step {step}, loss {loss:.3f}", file=sys.stderr)

    return show


def report(names: list[str], into_cards: bool) -> int:
    """Measure the saved checkpoints, and put the numbers into their cards; 1 if one does not reach what it must."""
    from .teaching.cards import write_card
    from .teaching.scores import score

    scores = [score(name) for name in names]
    for one in scores:
        if into_cards:
            write_card(one)
        verdict = "ok" if one.reached else "MISSED"
        print(f"{one.name:7} {one.value:.4f} {one.metric} (must reach {one.required}) {verdict}")
    return 0 if all(one.reached for one in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
