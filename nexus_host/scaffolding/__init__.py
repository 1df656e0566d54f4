"""New plugin packages from the templates that ship with the host."""

from .packages import KINDS, create

__all__ = ["KINDS", "create"]
