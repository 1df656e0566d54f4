"""nexus_torch: what two plugins need and torch can do.

`profiles` and `bases` (a teacher's profile on disk), `shards` (its outputs on disk), `padding` (samples of unequal
length), `stacks` and `skeleton` (a module without its weights). Import the module you need; nothing is imported here.
"""
