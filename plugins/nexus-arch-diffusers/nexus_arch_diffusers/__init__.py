"""Diffusers pipelines and models as Nexus teachers."""
