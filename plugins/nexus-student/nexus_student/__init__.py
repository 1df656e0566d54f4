"""nexus_student: a frozen causal core with towers, as a Hugging Face model.

Read `model.py` (the model), `active.py` (how a tower reaches into the core), `maker.py` (how training makes one),
`checkpoint.py` (how an engine opens one) and `router/ladder.py` (who answers).

`from nexus_student.model import NexusModel` registers the model with transformers' Auto classes; the package itself
imports nothing heavy, since plugin discovery imports it.
"""
