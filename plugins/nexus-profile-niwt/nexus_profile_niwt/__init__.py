"""NIWT (Neural Information-Weighted Tower): what in a teacher matters."""
