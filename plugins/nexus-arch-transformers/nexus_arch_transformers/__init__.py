"""Hugging Face checkpoints as Nexus teachers."""
