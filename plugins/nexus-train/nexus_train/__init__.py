"""Training: the core, the towers and their controls, from shards, artefacts and data alone."""
