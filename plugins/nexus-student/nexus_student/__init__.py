"""nexus_student: a frozen causal core with towers, as a Hugging Face model.

Read `model.py` (the model), `active.py` (how a tower reaches into the core), `maker.py` (how training makes one),
`checkpoint.py` (how an engine opens one) and `router/ladder.py` (who answers).

`import nexus_student` registers the model with transformers' Auto classes, and imports nothing heavy, since plugin
discovery imports it: see `registering.py`.
"""

from .registering import watch

watch()
