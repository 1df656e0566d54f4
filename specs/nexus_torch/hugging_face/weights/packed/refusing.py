"""What is packed in a way that is not read, seen from the configuration and the headers before any weight is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus_specs import Extent, NexusError

from . import bitnet, compressed, integers, modelopt
from .layout import Settings
from .packing import METHODS, Packing

HARMLESS = frozenset({
    "weight", "bias", "weight_format", "input_scale", "input_zero_point", "input_global_scale", "input_scale_ub",
    "activation_scale", "activation_scale_ub", "output_scale", "k_scale", "v_scale", "q_scale", "prob_scale",
})  # fmt: skip
"""What may lie beside a packed weight and changes none of its values: scales of what goes in and comes out."""
WHOLE = frozenset({"F64", "F32", "F16", "BF16"})
"""Floats that no quantiser stores."""
ONLINE = frozenset({"input", "output", "q_attn", "k_cache", "v_cache"})
"""Where compressed-tensors turns states as they pass; what it turns in weights is in them already."""
DEEPEST = 6
"""How deep a "transform_config" goes."""
INSTEAD = "Fetch the checkpoint as it was before it was packed, or packed in one of these ways."


def unread(settings: Settings) -> str:
    """Which part of a quantisation is not read, with what is: "packed by 'hqq', which is not read; awq, ... are"; ""
    where all of it is."""
    method = str(settings.get("quant_method") or "")
    if settings and not method:
        return f"packed, and config.json does not name by what (quant_method); {', '.join(sorted(METHODS))} are read"
    if turned := sorted(_turned(settings)):
        return f"packed by '{method}' with states that are turned as they pass ({', '.join(turned)}), which is not read"
    if method and method not in METHODS:
        return f"packed by '{method}', which is not read; {', '.join(sorted(METHODS))} are"
    if method == "compressed-tensors" and (form := compressed.unread(settings)):
        return f"packed by '{method}' in the format '{form}', which is not read; {', '.join(compressed.FORMATS)} are"
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
    elif method == bitnet.METHOD:
        known, said = bitnet.known(settings), "a way of its own (linear_class), or with norms before (use_rms_norm)"
        allowed = f"{bitnet.DIVIDED} and {bitnet.MULTIPLIED} without are"
    elif method == modelopt.METHOD:
        named = modelopt.algorithm(settings)
        known, said = named in modelopt.ALGORITHMS, f"'{named}'" if named else "a way without name (quant_algo)"
        allowed = f"{', '.join(modelopt.ALGORITHMS)} are"
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
    eight bits without its scale, a weight of whole precision with one, and a tensor beside a packed weight that no
    layout of its quantiser names. `targets` are names of weights -> (name in the module, ...); `source` is the
    checkpoint's name."""
    method = packing.settings.get("quant_method")
    if not packing.made:
        _check_scales(method, found, targets, source)
        return
    used = {key for _, roles in packing.made.values() for key in roles.values()}
    for name, (_, roles) in packing.made.items():
        if name in targets and {"weight", "scale"} <= roles.keys() and found[roles["weight"]].dtype in WHOLE:
            raise NexusError(
                f"'{source}' says that it is packed by '{method}', and stores '{roles['weight']}' in "
                f"{found[roles['weight']].dtype} with a scale beside it: nothing here knows whether it was multiplied "
                f"already. {INSTEAD}"
            )
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


def _check_scales(method: Any, found: Mapping[str, Extent], targets: Mapping[str, Any], source: str) -> None:
    """NexusError for a weight in floats of eight bits with a scale beside it, where nothing says how it is packed
    (ModelOpt writes that into hf_quant_config.json). A plain weight of eight bits has no scale."""
    said = f"its quantiser ('{method}') stores none so" if method else "config.json names no quantisation"
    stems = {key.removesuffix(".weight"): key for key in targets if key in found and found[key].dtype.startswith("F8_")}
    for key in sorted(found.keys() - targets.keys()) if stems else ():
        stem, _, leaf = key.rpartition(".")
        weight = stems.get(stem) or stems.get(key.removesuffix("_scale_inv").removesuffix("_scale"))
        if weight and "scale" in leaf and leaf not in HARMLESS:
            raise NexusError(
                f"'{source}' stores '{weight}' in floats of eight bits with a scale, '{key}', beside it, and {said}: "
                f"its values are not known. {INSTEAD}"
            )


def _turned(settings: Settings) -> set[str]:
    """Where a checkpoint of compressed-tensors turns states as they pass ("transform_config")."""

    def inside(value: Any, depth: int = 0) -> Iterator[str]:
        if isinstance(value, Mapping):
            yield str(value.get("location"))
        nested = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for each in nested if depth < DEEPEST else ():
            yield from inside(each, depth + 1)

    return set(inside(settings.get("transform_config"))) & ONLINE
