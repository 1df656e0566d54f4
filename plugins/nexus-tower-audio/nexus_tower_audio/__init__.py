"""An audio tower: its own log-mel front end, a small encoder, a resampler and gated cross-attention."""
