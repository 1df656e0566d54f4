"""A text tower: low-rank adapters on the core, with a vocabulary of its own where the teacher's tokenizer differs."""
