"""Tiny models of every architecture, and GGUF files of them, written apart from the loader."""
