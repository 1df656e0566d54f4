"""Tiny random checkpoints of every architecture, and what is seen of them through Nexus and through transformers."""
