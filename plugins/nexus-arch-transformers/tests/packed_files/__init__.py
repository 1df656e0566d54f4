"""Packed checkpoints, written bit by bit or by the library that packs."""
