"""Every teacher that the registry names, as a tiny random checkpoint in the layout of the real one.

`rows.TINY` has one builder for each; `checking.check` inspects, opens and observes what it wrote and compares it with
the reference forward. `benchmarks/teachers.py` and tests/teachers/ run them.
"""
