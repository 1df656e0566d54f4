"""The layout of google/gemma-scope-2-*: SITE/layer_N_width_W_l0_S/params.safetensors, beside it perhaps config.json.

SITE says what is read: resid_post (the output of layer N), mlp_out, attn_out, or transcoder (from the input of layer
N's feed-forward block to its output); each also with the ending _all. Read in the loader of sae-lens 6.54
(github.com/decoderesearch/SAELens); config.json names the model and the module, and may be absent. No torch here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_torch import hub
from nexus_torch.hugging_face.family import stored_names
from nexus_torch.hugging_face.folder import folder, parsed

WEIGHTS, CONFIG = "params.safetensors", "config.json"
NAMES = frozenset({"w_enc", "w_dec", "b_enc", "b_dec", "threshold"})
LAYER = re.compile(r"layer_(\d{1,6})_width_[0-9a-z]+_l0_")
HOOK = re.compile(r"model\.layers\.(\d{1,6})\.(?:(.+)\.)?(output|input)")
REPOSITORY = re.compile(r"gemma-scope-2-([0-9a-z]+)-(pt|it)")
SITES = {
    "resid_post": ("", "output"),
    "attn_out": ("self_attn.o_proj", "input"),
    "mlp_out": ("post_feedforward_layernorm", "output"),
    "transcoder": ("pre_feedforward_layernorm", "output"),
}
"""Site -> the module below the layer, and which side of it is read."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one autoencoder reads."""

    home: Path
    site: str
    """ "" where nothing says so."""
    layer: int
    """-1 where nothing says so."""
    model: str
    """The model that it explains, by its name on the hub; "" where nothing says so."""


def called(home: Path) -> str:
    """What a user types for a folder: its path, or its name on the hub."""
    listing = hub.behind(home)
    if listing is None:
        return str(home)
    inner = home.absolute().relative_to(hub.snapshot_folder(listing.hub)).as_posix()
    return f"hub:{listing.hub.name}" if inner == "." else f"hub:{listing.hub.name}/{inner}"


def split(source: str) -> tuple[str, str]:
    """The folder of the autoencoder, and the model behind "#" ("" without)."""
    scope, _, model = source.partition("#")
    return scope, model


def is_scope(home: Path) -> bool:
    """Whether a folder holds one autoencoder."""
    if (home / WEIGHTS).is_file():
        return stored_names(home / WEIGHTS) >= NAMES
    return LAYER.match(home.name) is not None and WEIGHTS in hub.weights(home)


def choices(home: Path) -> list[str]:
    """The autoencoders in a folder of them, as paths below it."""
    if (listing := hub.behind(home)) is not None:
        found = [home / name for name in listing.files if name.endswith(f"/{WEIGHTS}")]
    else:
        found = [*home.glob(f"*/{WEIGHTS}"), *home.glob(f"*/*/{WEIGHTS}")]
    return sorted(str(path.parent.relative_to(home)) for path in found if LAYER.match(path.parent.name))


def place(source: str) -> Place:
    """What a folder says of itself, by its names or in its config.json. NexusError where it holds many."""
    home = folder(split(source)[0])
    if not is_scope(home):
        raise NexusError(_which(home, choices(home)))
    told = _config(home)
    hook = HOOK.fullmatch(str(told.get("hf_hook_point_in", "")))
    number = LAYER.match(home.name) or hook
    site = next((name for name in SITES if home.parent.name.startswith(name)), "")
    if not site and hook is not None:
        site = next((name for name, where in SITES.items() if where == (hook[2] or "", hook[3])), "")
    model = str(told.get("model_name", "")) or _model(home)
    return Place(home=home, site=site, layer=int(number[1]) if number else -1, model=model)


def known(where: Place) -> Place:
    """The same. NexusError where it does not say what it reads, which a model needs to know."""
    if where.layer < 0 or not where.site:
        raise NexusError(
            f"'{called(where.home)}' does not say which layer it reads. Keep the names of the repository: "
            f"{' | '.join(SITES)}[_all]/layer_N_width_W_l0_S/{WEIGHTS}."
        )
    return where


def _config(home: Path) -> dict[str, Any]:
    try:
        return parsed(home / CONFIG)
    except NexusError:
        return {}


def _model(home: Path) -> str:
    """google/gemma-scope-2-27b-pt explains google/gemma-3-27b-pt; the one of 270 M parameters has no ending."""
    found = REPOSITORY.search(str(home))
    if found is None:
        return ""
    size, ending = found.groups()
    return f"google/gemma-3-{size}" + ("" if (size, ending) == ("270m", "pt") else f"-{ending}")


def _which(home: Path, inside: list[str]) -> str:
    named = called(home)
    if not inside:
        return f"'{named}' holds no {WEIGHTS} with {', '.join(sorted(NAMES))}. Fetch one folder of Gemma Scope 2."
    shown = ", ".join(inside[:3]) + (f" … ({len(inside)} in all)" if len(inside) > 3 else "")
    return f"'{named}' holds several autoencoders. Name one of them, as in {named}/{inside[0]}. There: {shown}."
