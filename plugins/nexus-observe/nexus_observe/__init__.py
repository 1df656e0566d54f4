"""The stages and commands in which a model is open."""
