"""PersonaPlex and Moshi in Kyutai's format as Nexus teachers."""
