"""Running: jobs, worker processes, signals; a run from its lock to its last line."""
