"""Files: byte ranges to tensors, past the page cache; files of a hub, within one budget of disk."""
