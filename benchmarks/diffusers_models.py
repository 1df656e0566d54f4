"""Every transformer, U-Net and VAE of diffusers as a tiny random checkpoint: opened, observed, streamed, compared.

python benchmarks/diffusers_models.py                     all classes: a few minutes
python benchmarks/diffusers_models.py --only FluxTransformer2DModel,UNet2DConditionModel
python benchmarks/diffusers_models.py --quick             a fixed sample; the table is left as it is

The table lies in the loader's distribution, so that `nexus list architectures` says what streams. Configurations are
diffusers' own defaults, shrunk by rule (`tiny_diffusers/shrinking.py`). `agree`: the prediction and every tapped layer
are within 1e-5 of the model's own forward, as a share of the largest value; `streamed`: layer by layer, with three
samples under way together, they are equal to the bit to what a resident model gives. `whose` a failure is: diffusers',
where the class itself says that it does not do this; ours, where it would with another configuration or arguments.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexus_arch_diffusers.catalogue import models
from report import arguments, finish

TABLE = Path(__file__).parents[1] / "plugins" / "nexus-arch-diffusers" / "nexus_arch_diffusers" / "models.json"
SORTS = ("transformer", "U-Net", "VAE")
SAMPLE = ("AutoencoderKL", "CogVideoXTransformer3DModel", "DiTTransformer2DModel", "FluxTransformer2DModel",
          "LTXVideoTransformer3DModel", "PixArtTransformer2DModel", "SD3Transformer2DModel", "UNet2DConditionModel",
          "UNetSpatioTemporalConditionModel", "WanTransformer3DModel")  # fmt: skip
COLUMNS = ("class", "opened", "agree", "streamed", "widths", "layers", "difference", "whose", "reason")


def main() -> None:
    """Makes the rows that are asked for."""
    given = arguments(__doc__, only={"default": "", "metavar": "CLASSES", "help": "class names, with commas"})
    from tiny_diffusers.comparing import OURS, THEIRS, compared  # diffusers: not for --help

    every = sorted(name for name, sort in models().items() if sort in SORTS)
    chosen = [each.strip() for each in given.only.split(",")] if given.only else list(SAMPLE) if given.quick else every
    made = [compared(name) for name in chosen]
    if not given.quick:
        stored = json.loads(TABLE.read_text()) if TABLE.is_file() else []
        known = {row["class"]: row for row in stored} | {row["class"]: _plain(row) for row in made}
        TABLE.write_text(json.dumps([known[name] for name in sorted(known)], indent=1) + "\n")
    figures = {"classes": len(made)} | {name: sum(row[name] for row in made) for name in COLUMNS[1:5]}
    owners = [row["whose"] for row in made]
    figures |= {"ours": owners.count(OURS), "theirs": owners.count(THEIRS)}
    finish(COLUMNS, [[str(row[name]) for name in COLUMNS] for row in made], figures, given)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: no difference where nothing was compared."""
    return row | {"difference": row["difference"] if row["difference"] == row["difference"] else None}


if __name__ == "__main__":
    main()
