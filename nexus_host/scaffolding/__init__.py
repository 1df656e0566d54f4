"""New plugin packages from the templates that ship with the host."""

from .packages import KINDS, PackageNameError, create

__all__ = ["KINDS", "PackageNameError", "create"]
