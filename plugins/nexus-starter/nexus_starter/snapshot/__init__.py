"""How the frozen data were cut. Run once, on CPython 3.13.0; its output is committed and never cut again."""
