"""Every architecture of transformers as a tiny random checkpoint: opened, observed and streamed by Nexus, and compared.

python benchmarks/architectures.py                  all types that are not in the table yet (the whole: half an hour)
python benchmarks/architectures.py --only llama     one model type again;  --failed: also what did not agree or stream
python benchmarks/architectures.py --quick          a fixed sample, in about a minute; the table is left as it is

Reads nothing but transformers' own default configurations, shrunk by rule (`tiny/shrinking.py`). The table lies in
the loader's distribution, so that `nexus list architectures` has it where the repository is not. Each row that fails
says `whose` it is: transformers', which raises without us (`tiny/refusing.py`), or ours; figures count both.
"""

from __future__ import annotations

from pathlib import Path

from nexus_torch.hugging_face.catalogue import tasks
from report import arguments, finish
from tiny.table import Row, figures, merge, read
from tiny.worker import rows

PLUGIN = Path(__file__).parents[1] / "plugins" / "nexus-arch-transformers" / "nexus_arch_transformers"
TABLE = PLUGIN / "architectures.json"
SAMPLE = ("bert", "gemma3", "llama", "mamba", "qwen3_moe", "t5", "videomae", "vit", "wav2vec2", "whisper")
COLUMNS = ("type", "head", "opened", "agree", "streamed", "difference", "whose", "reason")
FLAGS = {
    "only": {"default": "", "metavar": "TYPES", "help": "model types, with commas: their rows again"},
    "into": {"type": Path, "default": TABLE, "metavar": "FILE", "help": "another table than the loader's"},
    "failed": {"action": "store_true", "help": "what did not agree or stream as well"},
}


def chosen(table: list[Row], only: str, failed: bool, quick: bool) -> list[str]:
    """The model types whose rows are made."""
    every = sorted({each for entries in tasks().values() for each in entries})
    if quick or only:
        return list(SAMPLE) if quick else [each.strip() for each in only.split(",")]
    done = {each["type"] for each in table}
    again = {row["type"] for row in table if failed and not (row["agree"] and row["streamed"])}
    return [each for each in every if each not in done or each in again]


def main() -> None:
    """Makes the rows that are asked for."""
    given = arguments(__doc__, **FLAGS)
    table = read(given.into)
    made: list[Row] = []
    for found in rows(chosen(table, given.only, given.failed, given.quick)):
        made += found
        for each in found:
            print(*(each[name] for name in COLUMNS), flush=True)
        if not given.quick:
            table = merge(given.into, found)
    shown = made if given.only or given.quick else [each for each in table if not each["streamed"]]
    cells = [[str(each[name]) for name in COLUMNS] for each in shown]
    counts = figures(made if given.only or given.quick else table)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    finish(COLUMNS, cells, counts, given)


if __name__ == "__main__":
    main()
