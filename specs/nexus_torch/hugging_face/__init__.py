"""Checkpoints that become modules of transformers: what its loader, GGUF files and the families' loaders share.

Nothing is imported here: `catalogue` and `folder` answer without torch, the rest needs torch and transformers.

The library `kernels` fetches programs from a hub and runs them: transformers for what a configuration calls its
attention, diffusers for some models, bitsandbytes as it is imported. To all of them it is as if it were not installed.
"""

import sys

sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
