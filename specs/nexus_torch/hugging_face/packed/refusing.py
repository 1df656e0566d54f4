"""What is packed in a way that is not read, seen from the configuration and the headers before any weight is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import Extent, NexusError

from . import integers
from .layout import Settings
from .packing import METHODS, Packing

HARMLESS = frozenset({
    "weight", "bias", "weight_format", "input_scale", "input_zero_point", "input_global_scale", "input_scale_ub",
    "activation_scale", "activation_scale_ub", "output_scale", "k_scale", "v_scale", "q_scale", "prob_scale",
})  # fmt: skip
"""What may lie beside a packed weight and changes none of its values: scales of what goes in and comes out."""
INSTEAD = "Fetch the checkpoint as it was before it was packed, or packed in one of these ways."


def unread(settings: Settings) -> str:
    """Which part of a quantisation is not read, with what is: "packed by 'hqq', which is not read; awq, ... are"; ""
    where all of it is."""
    method = str(settings.get("quant_method", ""))
    if method and method not in METHODS:
        return f"packed by '{method}', which is not read; {', '.join(sorted(METHODS))} are"
    if method == "gptq":
        form, bits = integers.gptq_format(settings), settings.get("bits", 4)
        known = form in integers.GPTQ_FORMATS and bits in integers.GPTQ_BITS
        said = f"the format '{form}' with {bits} bits"
        allowed = f"{' and '.join(integers.GPTQ_FORMATS)} with {', '.join(map(str, integers.GPTQ_BITS))} bits are"
    elif method == "awq":
        form, bits = integers.awq_version(settings), settings.get("bits", settings.get("w_bit", integers.AWQ_BITS))
        known = form == integers.AWQ_VERSION and bits == integers.AWQ_BITS
        said = f"the version '{form}' with {bits} bits"
        allowed = f"'{integers.AWQ_VERSION}' with {integers.AWQ_BITS} bits is"
    else:
        return ""
    return "" if known else f"packed by '{method}' in {said}, which is not read; {allowed}"


def lacking(settings: Settings) -> tuple[str, ...]:
    """What such a checkpoint lacks to be opened, as a blueprint says it."""
    said = unread(settings)
    return (f"weights that can be read: these are {said}",) if said else ()


def refuse_unread(settings: Settings, source: str) -> None:
    """NexusError for a packing that is not read."""
    if said := unread(settings):
        raise NexusError(f"'{source}' is {said}. {INSTEAD}")


def check_stored(
    packing: Packing, found: Mapping[str, Extent], targets: Mapping[str, tuple[str, Any]], source: str
) -> None:
    """NexusError for what would change the values of a packed checkpoint and has no meaning here: a weight in floats of
    eight bits without its scale, and a tensor beside a packed weight that no layout of its quantiser names. `targets`
    are names of weights -> (name in the module, ...); `source` is the checkpoint's name."""
    if not packing.made:
        return
    method = packing.settings.get("quant_method")
    used = {key for _, roles in packing.made.values() for key in roles.values()}
    stems = {name.removesuffix(".weight") for name in packing.made if name in targets}
    for key in sorted(found.keys() - used):
        stem, _, leaf = key.rpartition(".")
        if stem in stems and key not in targets and leaf not in HARMLESS:
            raise NexusError(
                f"'{source}' stores '{key}' beside a weight that is packed by '{method}', and nothing here knows what "
                f"it changes. {INSTEAD}"
            )
        if key in targets and found[key].dtype.startswith("F8_"):
            raise NexusError(
                f"'{source}' is packed by '{method}' and stores '{key}' in floats of eight bits, with no scale in a "
                f"place that is known here. {INSTEAD}"
            )
