"""From what a model computes to pieces: taps, log-probabilities, logits that are never there whole."""
