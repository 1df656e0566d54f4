"""What a model gives, in standard terms: signals, one vector for each sample, and answers."""
