"""Running: jobs, worker processes, the board that status.json shows, signals, publishing, reset."""
