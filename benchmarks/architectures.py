"""Every architecture of transformers as a tiny random checkpoint: opened, observed and streamed by Nexus, and compared.

python benchmarks/architectures.py                  all types, every row anew: half an hour
python benchmarks/architectures.py --go-on          the rest of such a run that was stopped
python benchmarks/architectures.py --failed         the types again that do not agree or stream
python benchmarks/architectures.py --only llama     one model type again
python benchmarks/architectures.py --seed 1 --dtype bfloat16 --into FILE    other numbers, in a table of their own
python benchmarks/architectures.py --quick          a fixed sample, in about a minute; the table is left as it is

The rows of a whole run wait in a file beside the table (`.making`) and take its place when all are there.
Reads nothing but transformers' own default configurations, shrunk by rule (`tiny/shrinking.py`). The table lies in
the loader's distribution, so that `nexus list architectures` has it where the repository is not. Each row that fails
says `whose` it is: transformers', which raises without us (`tiny/refusing.py`), or ours; figures count both. Samples
carry the forward's own arguments, and the output of the plain forward is put into standard terms by our `read`: how
text, pictures and sounds become arguments is compared in `teachers.py` and the loaders' tests.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from nexus_torch.hugging_face.configuration.catalogue import tasks
from report import arguments, finish
from tiny.drawn import PLAIN, Drawn
from tiny.table import Row, figures, merge, read
from tiny.worker import rows

PLUGIN = Path(__file__).parents[1] / "plugins" / "nexus-arch-transformers" / "nexus_arch_transformers"
TABLE = PLUGIN / "architectures.json"
SAMPLE = ("bert", "gemma3", "llama", "mamba", "qwen3_moe", "t5", "videomae", "vit", "wav2vec2", "whisper")
LONG = 100
"""Rows of which only those are shown that something is the matter with."""
COLUMNS = ("type", "head", "opened", "agree", "streamed", "difference", "whose", "reason")
FLAGS = {
    "only": {"default": "", "metavar": "TYPES", "help": "model types, with commas: their rows again"},
    "into": {"type": Path, "default": TABLE, "metavar": "FILE", "help": "another table than the loader's"},
    "failed": {"action": "store_true", "help": "what does not agree or stream, again"},
    "seed": {"type": int, "default": 0, "help": "of random weights and inputs"},
    "dtype": {"default": "float32", "choices": ("float32", "bfloat16", "float16"), "help": "of stored weights"},
    "go-on": {"action": "store_true", "help": "what a whole run that was stopped still lacks"},
}


def every() -> list[str]:
    """All model types with a class of their own."""
    return sorted({each for entries in tasks().values() for each in entries})


def some(given: Namespace) -> list[str]:
    """The model types that are asked for, beside a whole run."""
    if given.quick:
        return list(SAMPLE)
    if given.only:
        return [each.strip() for each in given.only.split(",")]
    return sorted({row["type"] for row in read(given.into) if not (row["agree"] and row["streamed"])})


def made(types: Iterable[str], into: Path | None, drawn: Drawn) -> list[Row]:
    """Their rows, shown and put into a table as they come."""
    found: list[Row] = []
    for new in rows(list(types), drawn=drawn):
        found += new
        for each in new:
            print(*(each[name] for name in COLUMNS), flush=True)
        if into is not None:
            merge(into, new)
    return found


def whole(into: Path, go_on: bool, drawn: Drawn) -> list[Row]:
    """The rows of all types."""
    making = into.with_name(into.name + ".making")
    if not go_on:
        making.unlink(missing_ok=True)
    done = {each["type"] for each in read(making)}
    left = [each for each in every() if each not in done]
    print(f"{len(left)} of {len(every())} types are made now", flush=True)
    made(left, making, drawn)
    making.replace(into)
    return read(into)


def main() -> None:
    """Makes the rows that are asked for."""
    given = arguments(__doc__, **FLAGS)
    drawn = Drawn(given.seed, given.dtype)
    if drawn != PLAIN and given.into == TABLE and not given.quick:
        raise SystemExit("--seed and --dtype make another table than the loader's: say which with --into FILE.")
    if given.quick or given.only or given.failed:
        table = made(some(given), None if given.quick else given.into, drawn)
    else:
        table = whole(given.into, given.go_on, drawn)
    shown = table if len(table) < LONG else [each for each in table if not each["streamed"]]
    counts = figures(table)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    finish(COLUMNS, [[str(each[name]) for name in COLUMNS] for each in shown], counts, given)


if __name__ == "__main__":
    main()
