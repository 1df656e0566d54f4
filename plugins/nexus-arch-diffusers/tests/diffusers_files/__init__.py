"""Tiny random pipelines of diffusers, for the tests of this loader and for the benchmarks of teachers."""
