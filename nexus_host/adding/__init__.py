"""A teacher's card from its checkpoint: what fits it among what is installed, written into the registry."""

from .composing import Addition, Wish, compose
from .looking import look
from .writing import written

__all__ = ["Addition", "Wish", "compose", "look", "written"]
