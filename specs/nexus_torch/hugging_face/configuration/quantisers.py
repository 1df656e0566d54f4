"""What says beside a config.json how the weights are packed: ModelOpt's first checkpoints say it nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..folder import parsed

FILE, METHOD = "hf_quant_config.json", "modelopt"


def with_quantiser(values: Mapping[str, Any], home: Path) -> Mapping[str, Any]:
    """A parsed config.json, with the quantisation that stands beside it where it names none. NexusError for a file that
    cannot be read."""
    if values.get("quantization_config") is not None or not (home / FILE).exists():
        return values
    found = parsed(home / FILE).get("quantization")
    if not isinstance(found, Mapping) or not found.get("quant_algo"):
        return values                                       # of the cache of keys and values alone
    return {**values, "quantization_config": {**found, "quant_method": METHOD}}
