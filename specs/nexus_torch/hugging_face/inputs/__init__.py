"""Samples to arguments of a forward, through a checkpoint's processors: texts, pictures, sounds and films."""
