"""Layer-major running: forwards that stop at each unit, and the hub that leads all of them through it."""
