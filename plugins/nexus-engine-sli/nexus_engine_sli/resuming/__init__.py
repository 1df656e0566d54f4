"""States that survive a kill: written, and forwards brought back to them."""
