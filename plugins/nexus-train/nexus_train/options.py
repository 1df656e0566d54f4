"""Options of the stages."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import neutral, option


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How one unit is trained. Rates, dropout and steps are chosen on development (`benchmarks/choose_recipe.py`)."""

    steps: int = option(400, help="Updates", low=1)
    batch: int = option(8, help="Samples in an update", low=1)
    learning_rate: float = option(0.003, help="AdamW: embeddings, heads, norms, biases", low=0.0)
    matrix_learning_rate: float = option(0.01, help="Muon: matrices between hidden states", low=0.0)
    weight_decay: float = option(0.01, help="Decoupled, of both optimisers", low=0.0)
    dropout: float = option(0.0, help="Of what each layer adds to the residual stream", low=0.0, high=0.9)
    warmup: float = option(0.02, help="Share of the steps in which the rates rise", low=0.0, high=1.0)
    decay: float = option(0.3, help="Share of the steps, at the end, in which they fall to zero", low=0.0, high=1.0)
    clip: float = option(1.0, help="Largest norm of the gradient; 0: any", low=0.0)
    balance: float = option(
        1.0, help="Several teachers: batches in proportion to their data (1), equally often (0), or between", low=0.0
    )
    checkpoint: int = neutral(100, help="Steps between two saved states, for a run that is killed")
    cache: int = neutral(2**29, help="Bytes of collated samples kept in memory")


@dataclass(frozen=True, kw_only=True)
class CoreOptions(TrainOptions):
    """How the core is trained: from nothing, on text, so with higher rates and smaller batches than a tower."""

    steps: int = option(2000, help="Updates", low=1)
    batch: int = option(4, help="Samples in an update", low=1)
    learning_rate: float = option(0.025, help="AdamW: embeddings, heads, norms, biases", low=0.0)
    matrix_learning_rate: float = option(0.012, help="Muon: matrices between hidden states", low=0.0)
