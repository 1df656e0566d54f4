"""PEFT adapters as Nexus teachers."""
