"""Stored tensors: which weight of a module each one is, packed how, how large, and what is missing or left over."""
