"""The router: one gate row for each tower, learned from that tower's data alone against a fixed background."""
