"""Memory: what this process may take, what it gives back, what a waiting forward stands on, and states beyond it."""
