"""Checkpoints that become modules of transformers: what its loader, GGUF files and the families' loaders share.

Nothing is imported here: `catalogue` and `folder` answer without torch, the rest needs torch and transformers.
"""
