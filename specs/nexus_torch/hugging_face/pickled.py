"""What is said of weights that are pickled: they are not read, and this converts them, where one trusts them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from nexus_torch import hub

TRANSFORMERS = (
    "import transformers as t; p = {place}; c = t.AutoConfig.from_pretrained(p); "
    "k = getattr(t, (c.architectures or ['AutoModel'])[0], t.AutoModel); k.from_pretrained(p).save_pretrained(p)"
)
"""The Python that converts a folder of transformers."""


def refusal(home: Path, names: Sequence[str], program: str = TRANSFORMERS) -> str:
    """The words for these pickled files of a folder. `program` is Python with `{place}` for that folder's name; of what
    lies on the hub alone, a copy is fetched first."""
    listing = hub.behind(home)
    place, fetched = str(home), ""
    if listing is not None:
        place = listing.hub.name.rpartition("/")[2]
        fetched = f"  hf download {listing.hub.name} --revision {listing.commit} --local-dir {shlex.quote(place)}\n"
        inner = home.name if home.parent.parent.name == "snapshots" else ""     # one component of a pipeline
        place = f"{place}/{inner}" if inner else place
    return (
        f"'{home}' holds its weights as {', '.join(names)}: pickles, which can run code when opened, so they are "
        f"not read. Convert them once, where you trust them{' (then name that folder)' if fetched else ''}:\n{fetched}"
        f"  python -c {shlex.quote(program.replace('{place}', repr(place)))}"
    )
