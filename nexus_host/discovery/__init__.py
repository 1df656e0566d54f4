"""What is installed: plugins by entry point, their components by kind and name, their options, their events."""

from .options import OptionField
from .plugins import Plugins
from .records import Plugin, Provider

__all__ = ["OptionField", "Plugin", "Plugins", "Provider"]
