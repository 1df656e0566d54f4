"""A teacher's outputs on disk, by sample: tensors of many samples end to end, with their lengths, in safetensors.

| name | one sample | stored as |
|---|---|---|
| `tokens`, `spans` | int [T], [T, 2] | int32 |
| `ids`, `probabilities` | sparse next-token distribution [T, K] | int16 or int32; float16 |
| `output` | [C] | float32 |
| `state:PATH` | [T, R], in the profile's basis | int8, and `state:PATH.scale` float16 [T] |

Beside every name stands `NAME.lengths` int32 [n]. `shard-00000.json` lists the keys of a shard in order, `index.json`
the files with their hashes. Reading is by key, never by order.
"""

from .layout import INDEX, SCHEMA, STATE, quantise
from .reading import Shards
from .writing import WAITING, ShardWriter

__all__ = ["INDEX", "SCHEMA", "STATE", "WAITING", "ShardWriter", "Shards", "quantise"]
