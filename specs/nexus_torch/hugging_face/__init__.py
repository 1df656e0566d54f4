"""Checkpoints that become modules of transformers: what its loader, GGUF files and the families' loaders share.

`folder` is what lies on the disk and `blueprint` what it is; the rooms are `configuration` (what a config.json means),
`weights` (its tensors), `text` (its tokenizer), `inputs` (samples to arguments) and `outputs` (what comes of them).
Nothing is imported here: `folder` and the catalogue answer without torch; the rest needs it and transformers.

The library `kernels` fetches programs from a hub and runs them: transformers for what a configuration calls its
attention, diffusers for some models, bitsandbytes as it is imported. To all of them it is as if it were not installed.
"""

import sys

sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
