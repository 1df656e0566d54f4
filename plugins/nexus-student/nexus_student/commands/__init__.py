"""The commands `nexus chat` and `nexus tower`."""
