"""What a config.json means: model type, class, head, limits, and whose code may run for it. No weights are read."""
