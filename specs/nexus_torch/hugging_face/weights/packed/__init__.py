"""Checkpoints that a quantiser packed: which stored tensors make a weight, and the weight's values in plain torch.

    packing = Packing.of(settings(config), keys)       # keys of the files -> names of the weights
    packing.groups["model.layers.0.mlp.up_proj.weight"]  # the stored keys that make this weight
    packing.unpack(raw)                                 # stored tensors by key -> weights by name

Each module here is one layout, with the source that defines it: block-scaled floats of eight bits (`fp8`), shared
exponents of microscaling (`mxfp4`), integers of GPTQ and AWQ (`integers`), bitsandbytes (`bnb`),
compressed-tensors (`compressed`) and BitNet (`bitnet`). None needs the library that packed the weights, none needs a
GPU.
"""

from .bitnet import rounding
from .packing import METHODS, Packing, settings
from .refusing import check_stored, lacking, refuse_unread

__all__ = ["METHODS", "Packing", "check_stored", "lacking", "refuse_unread", "rounding", "settings"]
