"""Tiny random models of diffusers: their configurations shrunk by rule, arguments of their forwards by name."""
