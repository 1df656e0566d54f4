"""Weights: what is loaded and dropped at once, into which module, in which dtype, and whether they are sound."""
