"""The contenders of `sli.py`, each of which runs in a process of its own."""
