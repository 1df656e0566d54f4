"""An image tower: a small patch encoder, a resampler and gated cross-attention into the core."""
