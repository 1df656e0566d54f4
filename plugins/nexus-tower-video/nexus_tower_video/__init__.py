"""A video tower: a small tubelet encoder, a resampler and gated cross-attention into the core."""
