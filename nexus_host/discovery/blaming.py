"""Whose code raised an error that nobody foresaw."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from .records import Plugin


def blamed(error: BaseException, found: Iterable[Plugin]) -> str:
    """The innermost line of an error's way that lies in a plugin, and which plugin that is; "" where there is none."""
    owners = {plugin.module.partition(".")[0]: plugin for plugin in found if plugin.module}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        if plugin := owners.get(module.partition(".")[0]):
            return f"raised in {module.replace('.', '/')}.py, line {line}, of {plugin.title}"
    return ""
