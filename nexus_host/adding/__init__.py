"""A teacher's card from its checkpoint: what fits it among what is installed, written into the registry."""

from .composing import Addition, Wish, component_of, compose
from .looking import look
from .writing import written

__all__ = ["Addition", "Wish", "component_of", "compose", "look", "written"]
