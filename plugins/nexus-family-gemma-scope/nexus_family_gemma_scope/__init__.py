"""Sparse autoencoders of Gemma Scope 2 as Nexus teachers."""
