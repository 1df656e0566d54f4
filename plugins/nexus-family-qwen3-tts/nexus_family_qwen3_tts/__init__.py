"""Qwen3-TTS and its 12 Hz speech tokenizer as Nexus teachers."""
